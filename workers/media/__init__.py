"""Makes a chat body fit the endpoint it goes to.

What a provider does not fetch is fetched here, and files its model cannot take are read as text.
"""

from workers.media.documents import Annotator, create_pdf_reader
from workers.media.fetching import FetchedMedia, Fetcher, FetchError
from workers.media.preparation import Prepared, prepare
from workers.media.relayed_urls import refuse_private_urls

__all__ = (
    "Annotator",
    "FetchError",
    "FetchedMedia",
    "Fetcher",
    "Prepared",
    "create_pdf_reader",
    "prepare",
    "refuse_private_urls",
)
