"""Batches: the list, a new one by a file, and the page of one with its results."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.batches.response_schemas import (
    Batch,
    BatchForecast,
    BatchLineResult,
    BatchList,
    BatchWithResults,
)
from api.core.media import build_signed_link
from api.core.services import get_services
from api.dashboard.core.api_client import ApiClient, ApiDep, ApiRefusalError
from api.dashboard.core.conversations import read_answer
from api.dashboard.core.forms import Upload, read_number, read_upload
from api.dashboard.core.pages import (
    PageRoute,
    Values,
    redirect_with_notice,
    render,
    render_live,
)
from api.dashboard.core.visitors import VisitorDep
from api.files.response_schemas import StoredFile
from api.models.response_schemas import ModelPage
from api.pages.page import read_form, redirect
from broker.batches import BatchState
from broker.batches.prompt_files import LineDefaults, SourceError, lines
from broker.completion import Json
from broker.values import immutable

router = APIRouter(route_class=PageRoute, prefix="/w/{workspace}/batches")
PAGE_SIZE = 30
RESULTS_PAGE = 50
WINDOWS = ("1h", "6h", "24h", "3d", "7d")
ENDED = (BatchState.COMPLETED, BatchState.FAILED, BatchState.EXPIRED, BatchState.CANCELLED)


@router.get("")
async def list_batches(
    request: Request, visitor: VisitorDep, api: ApiDep, after: str | None = None
) -> Response:
    """Show the batches of the workspace with their progress, newest first."""

    async def load() -> Values:
        page = await api.get("/batches", BatchList, {"after": after, "limit": PAGE_SIZE})
        following = urlencode({"after": page.last_id or ""})
        return {
            "batches": page.data,
            "after": after,
            "next_path": f"?{following}" if page.has_more else "",
            "first_path": "?" if after else "",
        }

    return await render_live(request, visitor, "batches.html", load)


@router.get("/new")
async def show_new_batch(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Show the form for a new batch."""
    return await _render_new(request, visitor, api)


@router.post("/new")
async def check_batch(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Store the file, and show what the batch would do and cost. Nothing runs yet."""
    async with read_upload(request, "file") as (form, upload):
        try:
            stored = await _store_input(api, form, upload)
            wanted = {**_read_options(form), "input_file_id": stored.id, "dry_run": True}
            forecast = await api.send("POST", "/batches", BatchForecast, wanted)
        except (ApiRefusalError, SourceError) as error:
            return await _render_new(request, visitor, api, form, problem=str(error))
    values = {"forecast": forecast, "file": stored, "entered": form}
    return await render(request, visitor, "batch_check.html", values)


@router.post("")
async def create_batch(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Start a batch whose file was checked before."""
    form = await read_form(request)
    wanted = {**_read_options(form), "input_file_id": form.get("input_file_id", "")}
    batch = await api.send("POST", "/batches", Batch, wanted)
    return redirect_with_notice(
        request, f"{visitor.root}/batches/{batch.id}", "The batch is accepted."
    )


@router.get("/{batch_id}")
async def show_batch(
    request: Request,
    visitor: VisitorDep,
    api: ApiDep,
    batch_id: str,
    after: Annotated[int, Query(ge=0)] = 0,
) -> Response:
    """Show one batch: its progress, cost, problems and results."""

    async def load() -> Values:
        query = {"results": True, "limit": RESULTS_PAGE, "after": after}
        batch = await api.get(f"/batches/{batch_id}", BatchWithResults, query)
        following = urlencode({"after": batch.last_line or 0})
        return {
            "batch": batch,
            "results": [describe_result(each) for each in batch.results or ()],
            "after": after,
            "is_open": batch.status not in ENDED,
            "is_final": batch.status in ENDED,
            "next_path": f"?{following}" if batch.has_more else "",
            "first_path": "?" if after else "",
        }

    return await render_live(request, visitor, "batch.html", load)


@router.get("/{batch_id}/files/{file_id}")
async def download_file(
    request: Request, visitor: VisitorDep, api: ApiDep, batch_id: str, file_id: str
) -> Response:
    """Redirect to a signed link of a result file of the batch."""
    batch = await api.get(f"/batches/{batch_id}", Batch)
    if file_id not in (batch.output_file_id, batch.error_file_id, batch.input_file_id):
        raise ApiRefusalError(404, f"{visitor.place.name} has no such file of this batch.")
    await api.get(f"/files/{file_id}", StoredFile)
    return redirect(build_signed_link(get_services(request), file_id))


@router.post("/{batch_id}/cancel")
async def cancel_batch(
    request: Request, visitor: VisitorDep, api: ApiDep, batch_id: str
) -> Response:
    """Cancel a batch: no further line starts."""
    await read_form(request)
    await api.change("POST", f"/batches/{batch_id}/cancel")
    notice = "The batch is cancelled: no further line starts."
    return redirect_with_notice(request, f"{visitor.root}/batches/{batch_id}", notice)


@router.post("/{batch_id}/retry")
async def retry_batch(
    request: Request, visitor: VisitorDep, api: ApiDep, batch_id: str
) -> Response:
    """Run the failed lines again, as a new batch."""
    await read_form(request)
    batch = await api.send("POST", f"/batches/{batch_id}/retry", Batch, {})
    notice = "The failed lines run again, as this batch."
    return redirect_with_notice(request, f"{visitor.root}/batches/{batch.id}", notice)


@router.post("/{batch_id}/delete")
async def delete_batch(
    request: Request, visitor: VisitorDep, api: ApiDep, batch_id: str
) -> Response:
    """Delete a batch with its files."""
    await read_form(request)
    await api.change("DELETE", f"/batches/{batch_id}")
    return redirect_with_notice(request, f"{visitor.root}/batches", "The batch is deleted.")


@immutable
class ShownResult:
    """A result of a line, in short."""

    custom_id: str
    is_failed: bool
    text: str  # the answer, or what went wrong
    job_id: str | None


def describe_result(result: BatchLineResult) -> ShownResult:
    """Return the answer of a line as text, or why there is none."""
    custom_id, response = result.custom_id or "", result.response
    job_id = response.request_id if response else None
    if result.error is not None:
        return ShownResult(custom_id, is_failed=True, text=result.error.message, job_id=job_id)
    body = response.body if response is not None and isinstance(response.body, dict) else {}
    if response is not None and response.status_code >= HTTPStatus.BAD_REQUEST:
        error = body.get("error")
        text = str(error.get("message") if isinstance(error, dict) else response.status_code)
        return ShownResult(custom_id, is_failed=True, text=text, job_id=job_id)
    parts = [part.text for turn in read_answer(body) for part in turn.parts]
    return ShownResult(custom_id, is_failed=False, text="\n".join(parts)[:2_000], job_id=job_id)


async def _store_input(
    api: ApiClient, form: Mapping[str, str], upload: Upload | None
) -> StoredFile:
    """Store the requests of a file as the input of a batch. Raises SourceError."""
    if upload is None:
        raise SourceError("Choose a file first.")
    defaults = LineDefaults(form.get("model") or None, form.get("template") or None)
    requests = await asyncio.to_thread(_read_requests, upload.path, defaults)
    name = f"{Path(upload.name).stem}.jsonl"
    return await api.upload("/files", StoredFile, (name, requests), {"purpose": "batch"})


def _read_requests(path: Path, defaults: LineDefaults) -> bytes:
    """Return the requests of a file in OpenAI's format (JSONL). Raises SourceError."""
    try:
        return b"".join(line.raw for line in lines(path, defaults))
    except SourceError as error:  # its text names the file by its path on this machine
        text = str(error).replace(f"{path}, ", "").replace(str(path), "The file")
        raise SourceError(text) from None


def _read_options(form: Mapping[str, str]) -> Json:
    """Return the options of a batch from its form. Raises ApiRefusalError."""
    options: Json = {
        "endpoint": "/v1/chat/completions",
        "completion_window": form.get("completion_window") or "24h",
        "max_cost": read_number(form, "max_cost"),
        "max_concurrency": read_number(form, "max_concurrency"),
        "dedupe": form.get("dedupe") == "on",
    }
    return {name: value for name, value in options.items() if value is not None}


async def _render_new(
    request: Request,
    visitor: VisitorDep,
    api: ApiDep,
    entered: Mapping[str, str] | None = None,
    problem: str | None = None,
) -> Response:
    models = await api.get("/models", ModelPage)
    names = ("model", "template", "completion_window", "max_cost", "max_concurrency", "dedupe")
    values = {
        "models": models.data,
        "entered": {**dict.fromkeys(names, ""), **(entered or {})},
        "problem": problem,
        "windows": WINDOWS,
    }
    return await render(
        request, visitor, "batch_new.html", values, status=200 if problem is None else 400
    )
