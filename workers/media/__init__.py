"""Attachments of a chat body, in the form that the endpoint accepts.

URLs that a provider does not fetch are fetched here. Files that its model does not accept are sent
as text or as pictures of their pages.
"""

from workers.media.annotations import Annotator
from workers.media.documents import Readers
from workers.media.fetching import FetchedMedia, Fetcher, FetchError
from workers.media.preparation import Prepared, prepare
from workers.media.readers import DocumentReader
from workers.media.relayed_urls import refuse_private_urls

__all__ = (
    "Annotator",
    "DocumentReader",
    "FetchError",
    "FetchedMedia",
    "Fetcher",
    "Prepared",
    "Readers",
    "prepare",
    "refuse_private_urls",
)
