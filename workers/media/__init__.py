"""Attachments of a chat body, in the form that the endpoint accepts.

URLs that a provider does not fetch are fetched here. Files that its model does not accept are read
as text.
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
