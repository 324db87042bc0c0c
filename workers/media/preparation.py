"""Adaptation of a chat body's attachments to an endpoint."""

import asyncio
import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from broker.completion import ErrorType, Failure, Json
from broker.requests.plugins import FileParser
from broker.routing.requirements import MEDIA_PARTS, list_media_parts
from broker.values import immutable
from workers.adapters.base import Adapter
from workers.adapters.media import AttachedMedia, MediaKind, read_media
from workers.media.annotations import annotation, known_files
from workers.media.documents import FileReader, PageBudget, Readers
from workers.media.fetching import Fetch, FetchedMedia, FetchError
from workers.media.formats import UnfitError, check_attachment, check_fetched_type, family, unfit
from workers.media.rules import Rules, Way, is_usual, media_part, read_parts

MAX_FETCHED_BYTES = 100_000_000
"""Bytes that are fetched for one request, in total."""

AT_ONCE = 4
"""URLs of one request that are fetched at the same time."""


@immutable
class Prepared:
    """An adapted body, and the annotations for its answer."""

    body: Json
    annotations: Sequence[Json] = ()
    fetched: int = 0  # bytes
    ocr_nanos: int = 0  # added to the cost of the job


async def prepare(
    body: Json,
    *,
    modalities: frozenset[str] | None,
    adapter: Adapter,
    fetch: Fetch,
    readers: Readers,
    parser: FileParser | None = None,
    quirks: frozenset[str] = frozenset(),
) -> Prepared | Failure:
    """Fit `body` to a model that takes `modalities` (None = unknown) behind `adapter`'s wire.

    Attachments are fetched, read as text or converted, where the endpoint needs it. `body` is not
    changed. A Failure means that the request is invalid; nothing was sent.
    """
    if next(list_media_parts(body), None) is None:
        return Prepared(body)
    rules = Rules(adapter, modalities, parser or FileParser(), quirks)
    known = known_files(body["messages"])
    files = FileReader(readers, rules.reading, PageBudget(readers.max_pages), known)
    work = _Preparation(rules, fetch, files)
    positions = list(_positions(body["messages"]))
    failures: list[Failure] = []
    tasks: list[asyncio.Task[_Fitted]] = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work.fit(part, position)) for position, part in positions]
    except* UnfitError as errors:
        failures = [error.failure for error in errors.exceptions if isinstance(error, UnfitError)]
    if failures:
        return failures[0]
    fitted = [task.result() for task in tasks]
    parts = {position: each.parts for (position, _), each in zip(positions, fitted, strict=True)}
    return Prepared(
        {**body, "messages": _replace_parts(body["messages"], parts)},
        [each.annotation for each in fitted if each.annotation],
        work.fetched,
    )


def most_fetched(body: Json, largest: int) -> int:
    """Return the most bytes that a body may need to fetch. One URL has up to `largest`."""
    urls = sum(_may_be_fetched(part) for part in list_media_parts(body))
    return min(urls * largest, MAX_FETCHED_BYTES)


def _may_be_fetched(part: Json) -> bool:
    """Return whether a text of the part begins as a URL. The data of a part may be large."""
    texts = [*part.values()]
    for held in part.values():
        texts += held.values() if isinstance(held, dict) else ()
    return any(isinstance(text, str) and _URL.match(text) for text in texts)


_URL = re.compile(r"\s*https?:", re.IGNORECASE)
_Position = tuple[int, int]  # a message, and a part of its content


def _positions(messages: Sequence[Any]) -> Iterator[tuple[_Position, Json]]:
    """Yield the content parts that are not text, with their positions."""
    for row, message in enumerate(messages):
        content = message.get("content") if isinstance(message, dict) else None
        for column, part in enumerate(content if isinstance(content, list) else ()):
            if isinstance(part, dict) and part.get("type") in MEDIA_PARTS:
                yield (row, column), part


def _replace_parts(messages: Sequence[Any], parts: Mapping[_Position, Sequence[Json]]) -> list[Any]:
    fitted = []
    for row, message in enumerate(messages):
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            content = [
                each
                for column, part in enumerate(content)
                for each in parts.get((row, column), [part])
            ]
            fitted.append({**message, "content": content})
        else:
            fitted.append(message)
    return fitted


@immutable
class _Fitted:
    parts: Sequence[Json]
    annotation: Json | None = None


class _Preparation:
    """The preparation of one body."""

    def __init__(
        self,
        rules: Rules,
        fetch: Fetch,
        files: FileReader,
    ) -> None:
        self._rules = rules
        self._fetch = fetch
        self._files = files
        self.fetched = 0  # bytes
        self._free = asyncio.Semaphore(AT_ONCE)

    async def fit(self, part: Json, position: _Position) -> _Fitted:
        media = _read_part(part, position)
        if media is None:
            return _Fitted([part])
        is_file = MEDIA_PARTS[part["type"]] == "file"
        if media.medium is MediaKind.DOCUMENT and family(media.mime) in tuple(MediaKind):
            media = replace(media, medium=MediaKind(family(media.mime)))  # a file that is an image
        match self._rules.way(media, is_file=is_file):
            case Way.AS_IS:
                typed = check_attachment(media, _name_field(position))
                unchanged = typed is media and is_usual(media, part)
                return _Fitted([part if unchanged else media_part(typed, part)])
            case Way.BYTES:
                fetched, mime = await self._get(media)
                data = base64.b64encode(fetched.content).decode()
                return _Fitted([media_part(replace(media, url=None, data=data, mime=mime), part)])
            case Way.READ:
                return await self._read(media, part)

    async def _read(self, media: AttachedMedia, part: Json) -> _Fitted:
        if media.url:
            fetched, mime = await self._get(media)
            content = fetched.content
        else:
            content, mime = media.decoded, media.mime
        name = media.title or _last_name(media.url)
        file = await self._files.read(content, mime, name)
        return _Fitted(read_parts(file, part), annotation(file))

    async def _get(self, media: AttachedMedia) -> tuple[FetchedMedia, str | None]:
        try:
            async with self._free:
                fetched = await self._fetch(media.url or "")
                self.fetched += len(fetched.content)
        except FetchError as error:
            image_error = (
                ErrorType.IMAGE_TOO_LARGE if error.too_large else ErrorType.IMAGE_DOWNLOAD_FAILED
            )
            raise unfit(media.medium, str(error), image_error) from None
        if self.fetched > MAX_FETCHED_BYTES:
            raise UnfitError(f"The request's URLs hold more than {MAX_FETCHED_BYTES} bytes.")
        return fetched, check_fetched_type(media, fetched)


def _read_part(part: Json, position: _Position) -> AttachedMedia | None:
    """Return the attachment of a part. Raises UnfitError that names the part."""
    try:
        return read_media(part)
    except ValueError as problem:
        kind = MEDIA_PARTS[part["type"]]
        raise UnfitError(
            f"{_name_field(position)}: the data of the {kind} cannot be read: {problem}.",
            ErrorType.INVALID_IMAGE if kind == "image" else ErrorType.INVALID_REQUEST,
        ) from None


def _name_field(position: _Position) -> str:
    """Return the name of a content part in a body."""
    row, column = position
    return f"messages.{row}.content.{column}"


def _last_name(url: str | None) -> str | None:
    return (url or "").partition("?")[0].rpartition("/")[2] or None
