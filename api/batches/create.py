"""Create batches: read and check the request, store the input file, write the batch."""

import asyncio
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from api.batches.read_body import REQUESTS, read_batch_body
from api.batches.schemas import BatchRequest, RetryRequest
from api.core.errors import json_response
from api.core.services import Services
from api.files.uploads import Draft, uploading
from api.webhooks.urls import own_webhook
from broker.accounts import Principal, Scope
from broker.batches import (
    BatchOptions,
    BatchReport,
    NewBatch,
    Options,
    Reader,
    insert_batch,
    new_batch,
    options_of,
    reports,
)
from broker.batches.creation import check_size, find_earlier_batch, usable_lines
from broker.batches.forecast import forecast
from broker.batches.lines import Target, find_target, list_paths
from broker.batches.options import MAX_BYTES, window_ms
from broker.batches.reading import raw_lines
from broker.batches.results import failed_lines
from broker.batches.rows import BatchRow
from broker.batches.view import batch as view
from broker.clock import now_ms
from broker.enums import FilePurpose
from broker.errors import ConflictError, InvalidRequestError
from broker.money import nanos_from_usd
from broker.requests.bodies import validated
from broker.requests.operations import Operation
from broker.storage import files

BATCH_INPUT_MS = 30 * 86_400_000


async def create_batch(
    request: Request, services: Services, principal: Principal, key: str | None
) -> Response:
    """Answer POST /batches."""
    async with uploading(services, principal, MAX_BYTES) as (draft, _):
        fields = await read_batch_body(request, draft.write, MAX_BYTES)
        is_inline = fields.pop(REQUESTS, False)
        wanted = validated(BatchRequest, fields)
        _check_input(wanted, is_inline=is_inline)
        await _check_visible(services, principal, wanted.input_file_id)
        options = _batch_options(services, wanted, key)
        new = new_batch(
            options,
            principal,
            now_ms(),
            input_file_id=wanted.input_file_id or draft.id,
            content=draft.digest if is_inline else None,
            inline=is_inline,
        )
        if is_inline:
            new = await _with_input_file(new, draft)
        if wanted.dry_run:
            return await _forecast_batch(services, principal, new)
        return await _write_batch(services, principal, new, draft, 202 if is_inline else 200)


async def _check_visible(services: Services, principal: Principal, file_id: str | None) -> None:
    """Raise InvalidRequestError if the caller does not see this file."""
    owner = principal.owner_filter(Scope.FILES)
    if file_id is None or owner is None:
        return
    now, workspace_id = now_ms(), principal.workspace_id
    if await services.database.read(files.find, file_id, workspace_id, now, owner) is None:
        usable_lines(None, now)


async def retry_batch(
    services: Services,
    principal: Principal,
    found: BatchReport,
    wanted: RetryRequest,
    key: str | None,
) -> Response:
    """Answer POST /batches/{id}/retry."""
    row = found.row
    if row.ended_at is None:
        raise ConflictError(
            f"Batch {row.id} is {row.state}: its failed lines are known once it has ended."
        )
    async with uploading(services, principal, MAX_BYTES) as (draft, _):
        options = _retry_options(row, wanted, key)
        content = f"failed lines, model {wanted.model}"
        new = new_batch(options, principal, now_ms(), input_file_id=draft.id, content=content)
        if await services.database.read(find_earlier_batch, new.row) is None:
            await _write_failed_lines(services, row, wanted.model, draft)
            new = await _with_input_file(new, draft)
        return await _write_batch(services, principal, new, draft, 202)


def _retry_options(row: BatchRow, wanted: RetryRequest, key: str | None) -> BatchOptions:
    return BatchOptions(
        endpoint=Operation(row.endpoint),
        completion_window=wanted.completion_window or row.completion_window,
        dialect=row.dialect,
        options=options_of(row),
        priority=row.priority,
        max_concurrency=row.max_concurrency,
        max_cost_nanos=_to_nanos(wanted.max_cost) or row.max_cost_nanos,
        webhook=row.webhook,
        retry_of=row.id,
        idempotency_key=key,
    )


async def _write_failed_lines(
    services: Services, row: BatchRow, model: str | None, draft: Draft
) -> None:
    done = await services.database.read(reports.completed_numbers, row.id)

    def write() -> None:
        for line in failed_lines(raw_lines(services.files, row.input_file_id), done, model):
            draft.write(line)

    try:
        await asyncio.to_thread(write)
    except FileNotFoundError:
        raise ConflictError(
            f"The input of batch {row.id} is gone: its lines cannot be run again."
        ) from None
    if not draft.size:
        raise ConflictError(f"Every line of batch {row.id} was completed: nothing to run again.")


async def _with_input_file(new: NewBatch, draft: Draft) -> NewBatch:
    """Store the draft as the input of this batch."""
    found = draft.findings()
    check_size(draft.size, found.lines, param=REQUESTS)
    await asyncio.to_thread(draft.store)
    now = now_ms()
    file = files.FileRow(
        draft.id,
        new.row.workspace_id,
        FilePurpose.BATCH,
        draft.size,
        now,
        api_key_id=new.row.api_key_id,
        filename="requests.jsonl",
        media_type="application/jsonl",
        lines=found.lines,
        problems=found.stored,
        expires_at=now + BATCH_INPUT_MS,
    )
    return replace(new, own_file=file)


async def _write_batch(
    services: Services, principal: Principal, new: NewBatch, draft: Draft, status: int
) -> Response:
    found, replayed = await _insert(services, principal, new, draft)
    headers = {"Idempotent-Replayed": "true"} if replayed else {}
    headers["Location"] = f"/api/v1/batches/{found.row.id}"
    return json_response(view(found), status, headers)


async def _insert(
    services: Services, principal: Principal, new: NewBatch, draft: Draft
) -> tuple[BatchReport, bool]:
    """Insert a batch; return it, and whether an earlier request created it."""
    created = await draft.used_by(services.database, insert_batch, new)
    draft.is_in_use = not created.replayed
    found = await services.database.read(reports.find, principal.workspace_id, created.batch_id)
    if found is None:
        raise ConflictError(f"Batch {created.batch_id} was deleted.")
    return found, created.replayed


async def create_inline_batch(
    services: Services, principal: Principal, draft: Draft, options: BatchOptions
) -> BatchReport:
    """Store a draft as the input of a new batch; return the batch."""
    new = new_batch(
        options, principal, now_ms(), input_file_id=draft.id, content=draft.digest, inline=True
    )
    found, _ = await _insert(services, principal, await _with_input_file(new, draft), draft)
    return found


async def _forecast_batch(services: Services, principal: Principal, new: NewBatch) -> Response:
    """Return the forecast of a batch. Nothing is written."""
    if new.own_file is None:
        file_id, now = new.row.input_file_id, now_ms()
        file = await services.database.read(files.find, file_id, principal.workspace_id, now)
        usable_lines(file, now)
    snapshot = services.observer.snapshot
    reader = Reader(
        services.files, services.catalog, services.settings, services.database, snapshot
    )
    return json_response(
        await asyncio.to_thread(forecast, services.database, reader, new, principal)
    )


def _check_input(wanted: BatchRequest, *, is_inline: bool) -> None:
    if is_inline == (wanted.input_file_id is not None):
        raise InvalidRequestError(
            "Give either `input_file_id` or `requests`.", param="input_file_id"
        )


def _batch_options(services: Services, wanted: BatchRequest, key: str | None) -> BatchOptions:
    networks = services.settings.allowed_networks
    window_ms(wanted.completion_window)
    expires = wanted.output_expires_after
    target = _read_target(wanted.endpoint)
    return BatchOptions(
        endpoint=target.operation,
        dialect=target.dialect,
        completion_window=wanted.completion_window,
        options=Options(
            metadata=wanted.metadata,
            on_error=wanted.on_error,
            dedupe=wanted.dedupe,
            service_tier=wanted.service_tier,
            model=wanted.model,
            provider=wanted.provider,
            output_expires_seconds=None if expires is None else expires.seconds,
        ),
        priority=wanted.priority,
        max_concurrency=wanted.max_concurrency,
        max_cost_nanos=_to_nanos(wanted.max_cost),
        webhook=own_webhook(wanted.webhook, wanted.callback_url, networks),
        idempotency_key=key,
    )


def _read_target(path: str | None) -> Target:
    if path is None:
        return Target(Operation.CHAT)
    target = find_target(path)
    if target is None:
        raise InvalidRequestError(
            f"endpoint: {path!r} is none of {list_paths()}.", param="endpoint"
        )
    return target


def _to_nanos(dollars: float | None) -> int | None:
    return None if dollars is None else nanos_from_usd(dollars)
