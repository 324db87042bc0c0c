"""Pictures that a body sends to be changed: fetched, checked, and made data URIs."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import replace

from broker.completion import ErrorType, Failure, Json
from broker.requests.pictures import list_references, read_mask, replace_urls
from workers.adapters.media import AttachedMedia, MediaKind, read_media
from workers.media.fetching import Fetch, FetchError
from workers.media.formats import UnfitError, check_attachment, check_fetched_type, family
from workers.media.preparation import MAX_FETCHED_BYTES, Prepared

MASK_FIELD = "mask.image_url"


async def prepare_pictures(body: Json, fetch: Fetch) -> Prepared | Failure:
    """Return a body whose pictures are data URIs of their actual types.

    A Failure names the field of a picture that cannot be fetched or read; nothing was sent.
    """
    named = list_pictures(body)
    if not named:
        return Prepared(body)
    work = _Preparation(fetch)
    try:
        urls = {field: await work.read(field, url) for field, url in named}
    except UnfitError as error:
        return error.failure
    return Prepared(replace_urls(body, urls), fetched=work.fetched)


def list_pictures(body: Json) -> list[tuple[str, str]]:
    """Return the field and the URL of each picture, and of the mask."""
    mask = read_mask(body)
    return [*list_references(body), *([] if mask is None else [(MASK_FIELD, mask)])]


def count_fetches(named: Sequence[tuple[str, str]]) -> int:
    """Return the number of pictures that are fetched."""
    return sum(url[:5].lower() != "data:" for _, url in named)


class _Preparation:
    """The preparation of one body. Pictures are fetched one after the other."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self.fetched = 0  # bytes

    async def read(self, field: str, url: str) -> str:
        """Return a picture as a data URI. Raises UnfitError, which names the field."""
        media = _read(field, url)
        if media.url is not None:
            media = await self._get(field, media, media.url)
        checked = await asyncio.to_thread(check_attachment, media, field)
        return f"data:{checked.mime or 'image/png'};base64,{checked.data}"

    async def _get(self, field: str, media: AttachedMedia, url: str) -> AttachedMedia:
        try:
            found = await self._fetch(url)
        except FetchError as error:
            kind = ErrorType.IMAGE_TOO_LARGE if error.too_large else ErrorType.IMAGE_DOWNLOAD_FAILED
            raise UnfitError(f"{field}: {error}", kind) from None
        self.fetched += len(found.content)
        if self.fetched > MAX_FETCHED_BYTES:
            raise UnfitError(f"The request's URLs hold more than {MAX_FETCHED_BYTES} bytes.")
        mime = check_fetched_type(media, found)
        data = base64.b64encode(found.content).decode()
        return replace(media, url=None, data=data, mime=mime)


def _read(field: str, url: str) -> AttachedMedia:
    try:
        media = read_media({"type": "image_url", "image_url": url})
    except ValueError as problem:
        raise UnfitError(
            f"{field}: the picture cannot be read: {problem}.", ErrorType.INVALID_IMAGE
        ) from None
    if media is None or media.medium is not MediaKind.IMAGE:
        actual = f" It is of type {media.mime}." if media and family(media.mime) else ""
        raise UnfitError(f"{field}: this is not a picture.{actual}", ErrorType.INVALID_IMAGE)
    return media
