"""Uploads: files are written to the store as they arrive, and never held in memory as a whole."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import IO, Any, TypeVar

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from sqlalchemy import Connection
from starlette.requests import Request

from api.core import headers
from api.core.services import Services
from broker.accounts import Principal
from broker.batches import Findings, Inspector
from broker.clock import now_ms
from broker.errors import InvalidRequestError, PayloadTooLargeError
from broker.ids import new_id
from broker.storage import files
from broker.storage.database import Database
from broker.storage.files import FileStore, Quota, refusal

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_FIELD_BYTES = 10_000
MAX_FIELDS = 20


class _DiscardedError(Exception):
    """Aborts the writing of a file, so that nothing of it stays."""


class Draft:
    """A file that is being written; opened at its first byte. Synchronous methods block."""

    def __init__(self, store: FileStore, most: int) -> None:
        self.id = new_id("file_")
        self.size = 0
        self.is_in_use = False  # a row refers to it, or may refer to it
        self._store = store
        self._most = most
        self._stack = contextlib.ExitStack()
        self._file: IO[bytes] | None = None
        self._inspector = Inspector()
        self._digest = hashlib.sha256()

    def write(self, data: bytes, *, inspect: bool = True) -> None:
        """Add bytes. Raises PayloadTooLargeError, and UnavailableError for a full store."""
        self.size += len(data)
        if self.size > self._most:
            raise PayloadTooLargeError(
                f"The file is larger than {self._most:,} bytes: split it.", param="file"
            )
        try:
            if self._file is None:
                self._file = self._stack.enter_context(self._store.writing(self.id))
            self._file.write(data)
        except OSError as error:
            raise refusal(error) from None
        self._digest.update(data)
        if inspect:
            self._inspector.feed(data)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def findings(self) -> Findings:
        """Return the findings about the input of a batch, after the last byte."""
        return self._inspector.findings()

    def store(self) -> None:
        """Store the file permanently. Raises UnavailableError."""
        try:
            self._stack.close()
        except OSError as error:
            raise refusal(error) from None

    async def used_by(
        self, database: Database, function: Callable[[Connection, Item], Result], item: Item
    ) -> Result:
        """Write the row that refers to the file. Raises the errors of the function.

        If the outcome of the write is unknown, the file is not deleted.
        """
        self.is_in_use = True
        try:
            return await database.write(function, item)
        except Exception:
            self.is_in_use = await _may_have_row(database, self.id)
            raise

    def discard(self) -> None:
        """Delete the file, also after it was stored."""
        if self._file is None:
            return
        with contextlib.suppress(_DiscardedError, OSError), self._stack:  # closing writes the rest
            raise _DiscardedError
        with contextlib.suppress(OSError):  # the error that led here is reported
            self._store.delete(self.id)


async def _may_have_row(database: Database, file_id: str) -> bool:
    """Return whether a file has a row, or whether that is unknown."""
    try:
        return await database.read(files.find, file_id, None, now_ms()) is not None
    except Exception:  # noqa: BLE001  # the caller raises the first error
        return True


@contextlib.asynccontextmanager
async def uploading(
    services: Services, principal: Principal, most: int
) -> AsyncIterator[tuple[Draft, Quota]]:
    """Begin an upload within the workspace's limits.

    Raises PayloadTooLargeError or RateLimitedError.
    """
    settings = services.settings
    quota = Quota(settings.workspace_files, settings.workspace_file_bytes)
    with services.upload_limits.count(principal.workspace_id):
        await services.database.read(files.check_quota, principal.workspace_id, quota)
        async with drafting(services.files, most) as draft:
            yield draft, quota


@contextlib.asynccontextmanager
async def drafting(store: FileStore, most: int) -> AsyncIterator[Draft]:
    """Open a draft, which is deleted at the end unless it is in use."""
    draft = Draft(store, most)
    try:
        yield draft
    finally:
        if not draft.is_in_use:
            await asyncio.to_thread(draft.discard)


@dataclass(slots=True)
class UploadForm:
    """The fields of a form besides its file."""

    fields: dict[str, str]
    filename: str | None = None
    media_type: str = "application/octet-stream"

    @property
    def has_file(self) -> bool:
        return self.filename is not None


async def read_file_form(request: Request, draft: Draft) -> UploadForm:
    """Read a form, and write its part `file` to the draft. Raises InvalidRequestError."""
    headers.refuse_encoded(request)
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise InvalidRequestError(
            "Send a form (multipart/form-data) with `file` and `purpose`.", param="body"
        )
    reader = _FormReader(draft, options[b"boundary"])
    try:
        async for piece in request.stream():
            if piece:
                await asyncio.to_thread(reader.feed, piece)
        reader.end()
    except FormParserError as error:
        raise InvalidRequestError(f"The form cannot be read: {error}.", param="body") from None
    return reader.form


class _FormReader:
    """Reads the parts of a form from the parser's callbacks."""

    def __init__(self, draft: Draft, boundary: bytes) -> None:
        self.form = UploadForm({})
        self._draft = draft
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._part: dict[str, str] = {}
        self._name = ""
        self._value = bytearray()
        callbacks: dict[str, Callable[..., Any]] = {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._take,
            "on_part_end": self._end_part,
            "on_end": self._finish,
        }
        self._parts = 0
        self._is_complete = False
        self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]

    def feed(self, piece: bytes) -> None:
        self._parser.write(piece)

    def end(self) -> None:
        if not self._is_complete:
            raise FormParserError("it ends in the middle")

    def _finish(self) -> None:
        self._is_complete = True

    def _begin(self) -> None:
        self._part = {}
        self._value = bytearray()

    def _end_header(self) -> None:
        field, value = self._header
        self._part[field.decode("latin-1").lower()] = value.decode("utf-8", "replace")
        self._header = (bytearray(), bytearray())

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._part.get("content-disposition", "").encode())
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._parts += 1
        if self._parts > MAX_FIELDS:
            raise InvalidRequestError("The form has too many fields.", param=self._name)
        if self._name == "file":
            if self.form.has_file:
                raise InvalidRequestError("A form brings one `file`: send several.", param="file")
            name = options.get(b"filename", b"").decode("utf-8", "replace")
            self.form.filename = name or "upload"
            self.form.media_type = self._part.get("content-type", self.form.media_type)

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._name == "file":
            inspect = self.form.fields.get("purpose", "batch") == "batch"
            self._draft.write(data[start:end], inspect=inspect)
            return
        self._value += data[start:end]
        if len(self._value) > MAX_FIELD_BYTES:
            raise InvalidRequestError("The form has too large a field.", param=self._name)

    def _end_part(self) -> None:
        if self._name != "file":
            self.form.fields[self._name] = self._value.decode("utf-8", "replace")
