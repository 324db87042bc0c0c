"""/files in OpenAI's shape: upload, list, look, download, delete.

A download is something to save: no browser runs or renders what a caller uploaded.
"""

import asyncio
import re
from typing import Annotated, Any, Literal
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response, StreamingResponse

from api.core.bodies import Route
from api.core.dependencies import Caller, ServicesDep
from api.core.errors import json_response
from api.core.request import FileCursor
from api.core.services import Services
from api.files.response_schemas import DeletedFile, StoredFile, StoredFilePage
from api.files.schemas import FILE_FORM
from api.files.uploads import Draft, FileForm, read_file_form, uploading
from broker.accounts import Principal, Scope
from broker.batches.creation import check_size, delete_files_many
from broker.clock import now_ms, seconds
from broker.completion import Json
from broker.errors import ConflictError, InvalidRequestError, NotFoundError
from broker.storage import files
from broker.storage.files import FilePage, Purpose
from broker.storage.files.records import UPLOADED

SHORTEST_SECONDS, LONGEST_SECONDS = 3600, 30 * 86400
DAY_SECONDS = 86_400
BATCH_INPUT_SECONDS = 30 * 86400  # how long an input is kept that names no other time

SHAPE = {"_shape": "openai"}
"""Fields that OpenRouter's SDK expects in a file, in a list and in a deletion."""

router = APIRouter(route_class=Route, prefix="/files", tags=["files"])


@router.post("", dependencies=[Depends(FILE_FORM)], response_model=StoredFile)
async def upload_file(request: Request, services: ServicesDep, principal: Caller) -> Response:
    """Keep a file: a form with `file`, and perhaps `purpose` and `expires_after[seconds]`.

    A file without a `purpose` is `user_data`. The input of a batch is checked as it comes in:
    `status_details` says what is wrong with it.
    """
    _refuse_provider(request)
    settings = services.settings
    async with uploading(services, principal, settings.max_file_bytes) as (draft, quota):
        form = await read_file_form(request, draft)
        row = _row(form, draft, principal, settings.upload_days)
        await asyncio.to_thread(draft.keep)
        upload = files.Upload(row, quota)
        await draft.used_by(services.database, files.add_upload, upload)
    return json_response(view(await _find(services, principal, draft.id)))


@router.get("", response_model=StoredFilePage)
async def list_files(
    services: ServicesDep,
    principal: Caller,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    after: FileCursor | None = None,
    after_id: FileCursor | None = None,
    cursor: FileCursor | None = None,
    purpose: Purpose | None = None,
    order: Literal["asc", "desc"] = "desc",
) -> Response:
    """List the workspace's files; `after` is the last id of the page before.

    `after_id` and `cursor` are other clients' names for `after`.
    """
    start = after or after_id or cursor
    owner = principal.owner_filter(Scope.FILES)
    wanted = FilePage(principal.workspace_id, limit + 1, start, purpose, order == "asc", owner)
    rows = await services.database.read(files.page, wanted)
    page = listed([view(row) for row in rows[:limit]], has_more=len(rows) > limit)
    next_page = page["last_id"] if page["has_more"] else None
    return json_response(SHAPE | page | {"cursor": next_page})


@router.get("/{file_id}", response_model=StoredFile)
async def get_file(services: ServicesDep, principal: Caller, file_id: str) -> Response:
    """Show a file: its size, purpose, and until when it is kept."""
    return json_response(view(await _find(services, principal, file_id)))


@router.delete("/{file_id}", response_model=DeletedFile)
async def delete_file(services: ServicesDep, principal: Caller, file_id: str) -> Response:
    """Delete a file; one that an unfinished batch reads stays."""
    await _find(services, principal, file_id)
    if not await services.database.write_grouped(delete_files_many, file_id):
        raise ConflictError(f"File {file_id} is the input of a batch that has not ended.")
    await asyncio.to_thread(services.files.delete, file_id)
    return json_response(SHAPE | {"id": file_id, "object": "file", "deleted": True})


@router.get("/{file_id}/content")
async def get_file_content(
    request: Request,
    services: ServicesDep,
    file_id: str,
    expires: int = 0,
    signature: str = "",
) -> Response:
    """Give a stored file: to its workspace's key, or to whoever has a link that still holds.

    It is a download; a type that browsers run or render (a page, SVG) is told as
    `application/octet-stream`.
    """
    if services.signer.holds(file_id, expires, signature):
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
        _with(first, pieces),
        headers={"Content-Length": str(row.bytes)} | download_headers(row.filename or row.id),
        media_type=_media_type(request, row.media_type),
    )


def _media_type(request: Request, stored: str) -> str:
    """Return the type to send: OpenRouter's SDK asks for bytes, and reads nothing else."""
    wants_bytes = request.headers.get("accept", "").strip() == OCTETS
    return OCTETS if wants_bytes else download_type(stored)


def view(row: Any) -> Json:
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
        "status_details": None if problems is None else _told(problems),
        "lines": row.lines,
    }


def listed(data: list[Json], *, has_more: bool) -> Json:
    """Render a page of a list in OpenAI's shape."""
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }


def _told(problems: Json) -> str:
    first = problems["listed"][0]
    counts = [
        counted(problems["unreadable"], "line cannot be read", "lines cannot be read"),
        counted(problems["duplicates"], "custom_id comes twice", "custom_ids come twice"),
    ]
    found = ", ".join(each for each in counts if each)
    return f"{found}; line {first['line']}: {first['message']}"


def counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}" if number else ""


def _row(form: FileForm, draft: Draft, principal: Principal, days: int) -> dict[str, Any]:
    purpose = form.fields.get("purpose", Purpose.USER_DATA.value)
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
    kept = _kept_seconds(form) or days * DAY_SECONDS or None
    if purpose == Purpose.BATCH:
        found = draft.findings()
        check_size(draft.size, found.lines, param="file")
        more |= {"lines": found.lines, "problems": found.stored}
        kept = min(kept or BATCH_INPUT_SECONDS, BATCH_INPUT_SECONDS)
    more["expires_at"] = None if kept is None else now + kept * 1000
    return files.new_row(
        draft.id, principal.workspace_id, Purpose(purpose), draft.size, now, **more
    )


def _kept_seconds(form: FileForm) -> int | None:
    """Read `expires_after[anchor]` and `expires_after[seconds]`."""
    asked = form.fields.get("expires_after[seconds]")
    if asked is None:
        return None
    if form.fields.get("expires_after[anchor]", "created_at") != "created_at":
        raise InvalidRequestError(
            "expires_after.anchor: only created_at.", param="expires_after.anchor"
        )
    if not asked.isdecimal() or not SHORTEST_SECONDS <= int(asked) <= LONGEST_SECONDS:
        raise InvalidRequestError(
            f"expires_after.seconds: {SHORTEST_SECONDS} to {LONGEST_SECONDS}.",
            param="expires_after.seconds",
        )
    return int(asked)


def _refuse_provider(request: Request) -> None:
    """Refuse to store a file at a provider, which OpenRouter offers."""
    if "provider" in request.query_params:
        raise InvalidRequestError(
            "provider: files are stored here, not at a provider; leave it out.", param="provider"
        )


async def _find(services: Services, principal: Principal, file_id: str) -> Any:
    owner = principal.owner_filter(Scope.FILES)
    row = await services.database.read(files.find, file_id, principal.workspace_id, now_ms(), owner)
    if row is None:
        raise NotFoundError(f"There is no file {file_id}.")
    return row


def _with(first: bytes, rest: Any) -> Any:
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
    """Return the type, or octets for one that a browser might render, or that is none."""
    return stated if HARMLESS.fullmatch(stated) else OCTETS


def download_headers(filename: str) -> dict[str, str]:
    """Return what makes an answer a download under this name (RFC 6266)."""
    return {
        "Content-Disposition": f"attachment; filename*=utf-8''{quote(filename, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }
