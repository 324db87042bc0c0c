"""Pictures that a provider's answer names by addresses, which expire: fetched, to be stored."""

import base64
from dataclasses import replace

import structlog

from broker.completion import Document, Json, Media
from broker.ids import new_id
from broker.requests.data_uris import is_data_uri, read_data_uri
from workers.media.fetching import Fetch, FetchError
from workers.media.formats import family, sniff

log = structlog.get_logger()


async def fetch_pictures(answer: Document, fetch: Fetch) -> Document:
    """Return an answer that has the bytes of its pictures, with file ids in place of addresses.

    The picture is paid for: one that cannot be fetched keeps its address.
    """
    data = answer.body.get("data")
    if not isinstance(data, list) or not any(_is_link(entry) for entry in data):
        return answer
    media: list[Media] = list(answer.media)
    entries = [await _fetch_entry(entry, media, fetch) for entry in data]
    return replace(answer, body={**answer.body, "data": entries}, media=media)


async def _fetch_entry(entry: Json, media: list[Media], fetch: Fetch) -> Json:
    if not _is_link(entry):
        return entry
    try:
        content = await _read(entry["url"], fetch)
    except (FetchError, ValueError) as error:
        log.warning("media.not_fetched", error=str(error)[:500])
        return entry
    mime = sniff(content)
    media_type = mime if mime and family(mime) == "image" else "image/png"
    image = Media(new_id("file_"), media_type, content)
    media.append(image)
    return {**{name: value for name, value in entry.items() if name != "url"}, "file_id": image.id}


async def _read(url: str, fetch: Fetch) -> bytes:
    if is_data_uri(url):
        return base64.b64decode(read_data_uri(url).data)
    return (await fetch(url)).content


def _is_link(entry: object) -> bool:
    return isinstance(entry, dict) and "file_id" not in entry and isinstance(entry.get("url"), str)
