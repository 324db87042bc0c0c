"""Routes of files in OpenAI's shape: upload, list, show, download and delete them.

A browser saves a download; it does not run or render it.
"""

import asyncio
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from api.core.bodies import Route
from api.core.dependencies import Caller, ServicesDep
from api.core.errors import json_response
from api.core.request import FileCursor
from api.core.services import Services
from api.files.response_schemas import DeletedFile, StoredFile, StoredFilePage
from api.files.schemas import FILE_FORM
from api.files.uploads import Draft, UploadForm, read_file_form, uploading
from broker.accounts import Principal, Scope
from broker.batches.creation import check_size, delete_files_many
from broker.clock import now_ms, seconds
from broker.completion import Json
from broker.enums import FilePurpose
from broker.errors import ConflictError, InvalidRequestError, NotFoundError
from broker.storage import files
from broker.storage.files import FilePage, FileRow
from broker.storage.files.records import UPLOADED

SHORTEST_SECONDS, LONGEST_SECONDS = 3600, 30 * 86400
DAY_SECONDS = 86_400
BATCH_INPUT_SECONDS = 30 * 86400  # the longest time for which the input of a batch is stored

SHAPE = {"_shape": "openai"}
"""The field that OpenRouter's SDK expects in a file, in a list and in a deletion."""

router = APIRouter(route_class=Route, prefix="/files", tags=["files"])
FileId: TypeAlias = Annotated[str, Path(description="The id of the file (`file_…`).")]


@router.post("", dependencies=[Depends(FILE_FORM)], response_model=StoredFile)
async def upload_file(request: Request, services: ServicesDep, principal: Caller) -> Response:
    """Store a file: a form with `file`, and optionally `purpose` and `expires_after[seconds]`.

    A file without a `purpose` is `user_data`. The input of a batch is checked during the upload,
    and `status_details` describes its errors.
    """
    _refuse_provider(request)
    settings = services.settings
    async with uploading(services, principal, settings.max_file_bytes) as (draft, quota):
        form = await read_file_form(request, draft)
        row = _new_row(form, draft, principal, settings.upload_days)
        await asyncio.to_thread(draft.store)
        upload = files.Upload(row, quota)
        await draft.used_by(services.database, files.add_upload, upload)
    return json_response(render_file(await _find(services, principal, draft.id)))


@router.get("", response_model=StoredFilePage)
async def list_files(
    services: ServicesDep,
    principal: Caller,
    limit: Annotated[int, Query(ge=1, le=10_000, description="The most files of a page.")] = 100,
    after: Annotated[
        FileCursor | None, Query(description="The last id of the previous page.")
    ] = None,
    after_id: Annotated[FileCursor | None, Query(description="Another name of `after`.")] = None,
    cursor: Annotated[FileCursor | None, Query(description="Another name of `after`.")] = None,
    purpose: Annotated[FilePurpose | None, Query(description="The purpose of the files.")] = None,
    order: Annotated[
        Literal["asc", "desc"], Query(description="By time: `asc` for the oldest first.")
    ] = "desc",
) -> Response:
    """List the workspace's files."""
    start = after or after_id or cursor
    owner = principal.owner_filter(Scope.FILES)
    query = FilePage(principal.workspace_id, limit + 1, start, purpose, order == "asc", owner)
    rows = await services.database.read(files.page, query)
    page = render_page([render_file(row) for row in rows[:limit]], has_more=len(rows) > limit)
    next_page = page["last_id"] if page["has_more"] else None
    return json_response(SHAPE | page | {"cursor": next_page})


@router.get("/{file_id}", response_model=StoredFile)
async def get_file(services: ServicesDep, principal: Caller, file_id: FileId) -> Response:
    """Return a file: its size, its purpose and the time when it is deleted."""
    return json_response(render_file(await _find(services, principal, file_id)))


@router.delete("/{file_id}", response_model=DeletedFile)
async def delete_file(services: ServicesDep, principal: Caller, file_id: FileId) -> Response:
    """Delete a file. The input of a batch that has not ended is refused with 409."""
    await _find(services, principal, file_id)
    if not await services.database.write_grouped(delete_files_many, file_id):
        raise ConflictError(f"File {file_id} is the input of a batch that has not ended.")
    await asyncio.to_thread(services.files.delete, file_id)
    return json_response(SHAPE | {"id": file_id, "object": "file", "deleted": True})


@router.get("/{file_id}/content")
async def get_file_content(
    request: Request,
    services: ServicesDep,
    file_id: FileId,
    expires: Annotated[int, Query(description="The end of a signed link, in Unix seconds.")] = 0,
    signature: Annotated[str, Query(description="The signature of a signed link.")] = "",
) -> Response:
    """Return the content of a file, for a key of its workspace or by a valid signed link.

    The answer is a download. A type that browsers run or render (HTML, SVG) is sent as
    `application/octet-stream`.
    """
    if services.signer.is_valid(file_id, expires, signature):
        row = await services.database.read(files.find, file_id, None, now_ms())
    else:
        row = await _find(services, await services.keyring.principal(request), file_id)
    if row is None:
        raise NotFoundError(f"There is no file {file_id}.")
    pieces = services.files.pieces(file_id)
    try:
        first = await asyncio.to_thread(next, pieces, b"")
    except FileNotFoundError:
        raise NotFoundError(
            f"The content of {file_id} is not in this server's file store."
        ) from None
    return StreamingResponse(
        _chain(first, pieces),
        headers={"Content-Length": str(row.bytes)} | download_headers(row.filename or row.id),
        media_type=_media_type(request, row.media_type),
    )


def _media_type(request: Request, stored: str) -> str:
    """Return the type to send: OpenRouter's SDK requests bytes, and reads no other type."""
    accepts_bytes = request.headers.get("accept", "").strip() == OCTETS
    return OCTETS if accepts_bytes else download_type(stored)


def render_file(row: FileRow) -> Json:
    """Render a file in OpenAI's shape. Times are Unix seconds."""
    problems = None if row.problems is None else orjson.loads(row.problems)
    return SHAPE | {
        "id": row.id,
        "object": "file",
        "bytes": row.bytes,
        "created_at": seconds(row.created_at),
        "expires_at": seconds(row.expires_at),
        "filename": row.filename or row.id,
        "purpose": row.purpose,
        "status": "processed" if problems is None else "error",
        "status_details": None if problems is None else _describe_problems(problems),
        "lines": row.lines,
    }


def render_page(data: list[Json], *, has_more: bool) -> Json:
    """Render a page of a list in OpenAI's shape."""
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }


def _describe_problems(problems: Json) -> str:
    first = problems["listed"][0]
    counts = [
        describe_count(problems["unreadable"], "line cannot be read", "lines cannot be read"),
        describe_count(problems["duplicates"], "custom_id comes twice", "custom_ids come twice"),
    ]
    found = ", ".join(each for each in counts if each)
    return f"{found}; line {first['line']}: {first['message']}"


def describe_count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}" if number else ""


def _new_row(form: UploadForm, draft: Draft, principal: Principal, days: int) -> FileRow:
    purpose = form.fields.get("purpose", FilePurpose.USER_DATA.value)
    if purpose not in set(UPLOADED):
        known = ", ".join(UPLOADED)
        raise InvalidRequestError(f"purpose: it must be one of {known}.", param="purpose")
    if not form.has_file:
        raise InvalidRequestError("The form needs a `file`.", param="file")
    now = now_ms()
    more: dict[str, Any] = {
        "filename": form.filename,
        "media_type": download_type(form.media_type),
        "api_key_id": principal.api_key_id,
    }
    lifetime = _lifetime_seconds(form) or days * DAY_SECONDS or None
    if purpose == FilePurpose.BATCH:
        found = draft.findings()
        check_size(draft.size, found.lines, param="file")
        more |= {"lines": found.lines, "problems": found.stored}
        lifetime = min(lifetime or BATCH_INPUT_SECONDS, BATCH_INPUT_SECONDS)
    more["expires_at"] = None if lifetime is None else now + lifetime * 1000
    return files.FileRow(
        draft.id, principal.workspace_id, FilePurpose(purpose), draft.size, now, **more
    )


def _lifetime_seconds(form: UploadForm) -> int | None:
    """Read `expires_after[anchor]` and `expires_after[seconds]`."""
    text = form.fields.get("expires_after[seconds]")
    if text is None:
        return None
    if form.fields.get("expires_after[anchor]", "created_at") != "created_at":
        raise InvalidRequestError(
            "expires_after.anchor: only created_at.", param="expires_after.anchor"
        )
    if not text.isdecimal() or not SHORTEST_SECONDS <= int(text) <= LONGEST_SECONDS:
        raise InvalidRequestError(
            f"expires_after.seconds: {SHORTEST_SECONDS} to {LONGEST_SECONDS}.",
            param="expires_after.seconds",
        )
    return int(text)


def _refuse_provider(request: Request) -> None:
    """Raise InvalidRequestError for a `provider`: OpenRouter can store files at providers."""
    if "provider" in request.query_params:
        raise InvalidRequestError(
            "provider: files are stored here, not at a provider; leave it out.", param="provider"
        )


async def _find(services: Services, principal: Principal, file_id: str) -> FileRow:
    owner = principal.owner_filter(Scope.FILES)
    row = await services.database.read(files.find, file_id, principal.workspace_id, now_ms(), owner)
    if row is None:
        raise NotFoundError(f"There is no file {file_id}.")
    return row


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


OCTETS = "application/octet-stream"
HARMLESS = re.compile(
    r"(?:(?:image|audio|video)/[\w.-]{1,60}"  # no `+`: image/svg+xml is a document
    r"|application/(?:json|jsonl|x-ndjson|pdf)"
    r"|text/plain)"
    r"(?:; ?charset=[\w-]{1,40})?",
    re.ASCII | re.IGNORECASE,
)


def download_type(stated: str) -> str:
    """Return the type, or octets for a type that browsers may render or that is not valid."""
    return stated if HARMLESS.fullmatch(stated) else OCTETS


def download_headers(filename: str) -> dict[str, str]:
    """Return the headers of a download under this name (RFC 6266)."""
    return {
        "Content-Disposition": f"attachment; filename*=utf-8''{quote(filename, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }
