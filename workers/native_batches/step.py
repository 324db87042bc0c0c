"""One step of a native batch: create it, search for it at the provider, or poll it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import structlog

from broker import native_batches
from broker.clock import now_ms
from broker.completion import AttemptOutcome, ErrorType, Failure
from broker.native_batches import Called, NativeBatchRow, NativeBatchState
from broker.settings import Settings
from broker.storage.database import Database
from workers.adapters.base import HttpRequest, MalformedAnswerError
from workers.attempt.attachments import Attachments
from workers.native_batches.base import BatchApi, BatchOrder, BatchProgress, LineResult, ListedBatch
from workers.native_batches.batch_record import BatchRecord
from workers.native_batches.booking import (
    GONE_UPSTREAM,
    NEVER_ENDED,
    NO_RESULTS,
    NO_STATUS,
    NOT_IN_TIME,
    UNCONFIRMED_CREATION,
    LineBooking,
)
from workers.native_batches.calls import (
    RefusedCallError,
    UnconfirmedCallError,
    fetch,
    find_batches,
    lines,
)
from workers.native_batches.lines import build_lines, estimate_bytes, find_path
from workers.native_batches.registry import BATCH_APIS
from workers.provider_routes import ProviderRoute

ALL_BATCHES = "batches at providers"
"""The name under which the lines of all workspaces share the memory for attachments."""
GROUP = 100  # lines that are read and booked together
RATE_LIMITED = 429
GONE = 404
UNCONFIRMED = (UnconfirmedCallError, MalformedAnswerError)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StepTools:
    """The parts of a worker that steps use."""

    settings: Settings
    database: Database
    routes: Mapping[str, ProviderRoute]
    http: httpx.AsyncClient
    attachments: Attachments
    booking: LineBooking


class Step:
    """One step of a batch under the lease of this process."""

    def __init__(self, tools: StepTools, row: NativeBatchRow) -> None:
        self._tools = tools
        self._settings = tools.settings
        self._booking = tools.booking
        self._row = row
        self._record = BatchRecord(tools.settings, tools.database, row)
        self._route: ProviderRoute | None = tools.routes.get(row.provider)
        self._log = log.bind(batch=row.id, provider=row.provider)

    async def take(self) -> None:
        """Take the step that the row requires, and give the lease back."""
        row = self._row
        if self._route is None or self._route.batches is None:
            return await self._record.postpone(
                error="the provider's batch API is not configured here"
            )
        for called in await self._record.read(native_batches.ended_early, now_ms(), GROUP):
            await self._booking.end_early(called)
        if row.state == NativeBatchState.IN_DOUBT.value or (
            row.create_sent_at and not row.upstream_id
        ):
            return await self._find_created()
        if row.upstream_id is not None:
            return await self._poll(row.upstream_id)
        return await self._submit()

    # --- submitting ------------------------------------------------------------------------------

    async def _submit(self) -> None:
        jobs = await self._open_jobs()
        if not jobs or now_ms() >= self._row.give_up_at:
            return await self._end_and_fall_back(NOT_IN_TIME)
        most, largest = self._api.max_bytes, self._settings.max_media_bytes
        size = await estimate_bytes(jobs, largest=largest, max_bytes=most)
        async with self._tools.attachments.memory.hold(ALL_BATCHES, size):
            return await self._send(jobs, most)

    async def _send(self, jobs: Sequence[Called], most: int) -> None:
        row, route = self._row, self._known_route
        made = await build_lines(self._tools.attachments, route, self._api, jobs, max_bytes=most)
        for called, failure in made.without:
            await self._booking.fall_back(called, failure)
        if not made.within:
            return await self._end_and_fall_back(NOT_IN_TIME)
        path = find_path(route, jobs[0])  # all have the same model
        order = BatchOrder(row.id, row.native_model, path, made.within)
        try:
            file_id = await self._upload(order)
            # written before the call, because the provider may accept a call without an answer
            await self._record.save(
                state=NativeBatchState.CREATING.value,
                create_sent_at=now_ms(),
                input_file_id=file_id,
                lines=len(made.within),
            )
            created = await self._fetch(self._api.create(order, file_id, route.upstream))
            upstream_id = self._api.created(created)
        except RefusedCallError as error:
            return await self._handle_refusal(error.failure)
        except UNCONFIRMED as error:
            self._log.warning("native_batch.unconfirmed", error=str(error))
            return await self._record.postpone(error=str(error))
        await self._record.mark_running(upstream_id)
        self._log.info("native_batch.running", upstream_id=upstream_id, lines=len(made.within))
        return None

    async def _upload(self, order: BatchOrder) -> str | None:
        upload = self._api.upload(order, self._known_route.upstream)
        if upload is None:
            return None
        return self._api.uploaded(await self._fetch(upload))

    async def _handle_refusal(self, failure: Failure) -> None:
        """Try a refused creation again later if quota is missing; otherwise return its jobs."""
        if failure.http_status is None or failure.http_status == RATE_LIMITED:
            wait = int((failure.retry_after or 0) * 1000)
            return await self._postpone_submission(failure.message, wait)
        self._log.warning("native_batch.refused", error=failure.message)
        return await self._end_and_fall_back(failure)

    async def _postpone_submission(self, reason: str, wait_ms: int = 0) -> None:
        self._log.info("native_batch.postponed", reason=reason)
        await self._record.postpone(
            wait_ms,
            error=reason,
            state=NativeBatchState.SUBMITTING.value,
            create_sent_at=None,
            upstream_id=None,
        )

    # --- searching for an unconfirmed batch ------------------------------------------------------

    async def _find_created(self) -> None:
        """Search at the provider for a batch whose creation was not confirmed."""
        row = self._row
        others = await self._record.read(native_batches.known_upstream)
        try:
            found = await find_batches(
                self._tools.http, self._api, self._known_route.upstream, row, others
            )
        except (RefusedCallError, *UNCONFIRMED) as error:
            self._log.warning("native_batch.list_failed", error=str(error))
            found = None
        if row.state == NativeBatchState.IN_DOUBT.value:
            return await self._cancel_found(found)
        if found:
            for extra in found[1:]:
                await self._cancel(extra.id)
            self._log.warning("native_batch.found", upstream_id=found[0].id)
            return await self._record.mark_running(found[0].id, guessed=not self._api.marks)
        waited = now_ms() - (row.create_sent_at or row.created_at)
        if waited < self._settings.native_batch_doubt_seconds * 1000:
            return await self._record.postpone()
        return await self._give_up_search()

    async def _give_up_search(self) -> None:
        """End the search: the batch may run and be billed, so each job follows its `on_unknown`."""
        self._log.error("native_batch.in_doubt", lines=self._row.lines)
        await self._for_each_open(
            lambda called: self._booking.apply_unknown_policy(called, UNCONFIRMED_CREATION)
        )
        await self._record.postpone(
            state=NativeBatchState.IN_DOUBT.value, error=UNCONFIRMED_CREATION.message
        )

    async def _cancel_found(self, found: Sequence[ListedBatch] | None) -> None:
        """Cancel a batch that was found after its jobs had been given up."""
        if found and self._api.marks:
            for each in found:
                await self._cancel(each.id)
            self._log.error("native_batch.found_late", upstream_ids=[each.id for each in found])
            return await self._record.end(upstream_id=found[0].id)
        if now_ms() >= self._row.give_up_at:
            return await self._record.end()
        return await self._record.postpone()

    # --- polling and booking ---------------------------------------------------------------------

    async def _poll(self, upstream_id: str) -> None:
        try:
            answer = await self._fetch(self._api.poll(upstream_id, self._known_route.upstream))
            progress = self._api.progress(answer)
        except RefusedCallError as error:
            if error.failure.http_status == GONE:
                return await self._end_unknown(GONE_UPSTREAM)
            return await self._postpone_or_end(error, NO_STATUS)
        except UNCONFIRMED as error:
            return await self._postpone_or_end(error, NO_STATUS)
        if not progress.ended:
            return await self._wait_on(upstream_id, progress)
        if progress.lacks_quota:
            return await self._postpone_submission(progress.failure_reason or "")
        try:
            if progress.completed and not (progress.files or progress.inline):
                raise MalformedAnswerError("it has completed and names no file of results")
            await self._book(progress)
        except (RefusedCallError, *UNCONFIRMED) as error:  # the rest is booked at the next poll
            self._log.warning("native_batch.results_failed", error=str(error))
            return await self._postpone_or_end(error, NO_RESULTS)
        return await self._end_and_fall_back(
            Failure(
                AttemptOutcome.REJECTED,
                ErrorType.PROVIDER_UNAVAILABLE,
                progress.failure_reason
                or "The provider's batch ended without an answer to this line.",
            ),
            completed=progress.completed,
            failed=progress.failed,
        )

    async def _wait_on(self, upstream_id: str, progress: BatchProgress) -> None:
        """Poll again later. Cancel the batch if no job waits for it or its time is over.

        A batch that has not ended at the next poll after its cancellation is given up.
        """
        row = self._row
        left = await self._record.read(native_batches.open_count)
        if (not left or self._is_overdue) and not (row.cancel_sent or row.guessed):
            await self._cancel(upstream_id)
            return await self._record.postpone(cancel_sent=True)
        if not left:
            return await self._record.end()
        if self._is_overdue:
            return await self._end_unknown(NEVER_ENDED)
        return await self._record.postpone(completed=progress.completed, failed=progress.failed)

    async def _book(self, progress: BatchProgress) -> None:
        """Book the results in groups. Results that were booked before are skipped."""
        group: list[LineResult] = list(progress.inline)
        for name in progress.files:
            call = self._api.results(name, self._known_route.upstream)
            most = self._settings.max_answer_bytes
            async for line in lines(self._tools.http, call, max_bytes=most):
                group.append(self._api.result(line))
                if len(group) >= GROUP:
                    await self._book_group(group)
                    group = []
        await self._book_group(group)

    async def _book_group(self, group: Sequence[LineResult]) -> None:
        results = {result.custom_id: result for result in group}
        for found in [list(results)[at : at + GROUP] for at in range(0, len(results), GROUP)]:
            held = await self._record.read(native_batches.open_among, found)
            await asyncio.gather(
                *(self._book_one(called, results[called.job.id]) for called in held)
            )

    async def _book_one(self, called: Called, result: LineResult) -> None:
        if result.answer is not None:
            await self._booking.book_answer(self._known_route, called, result.answer)
        elif result.failure is not None:
            await self._booking.fall_back(called, result.failure)

    async def _postpone_or_end(self, error: Exception, failure: Failure) -> None:
        """Poll again later, or end the batch if its time is over."""
        if self._is_overdue:
            return await self._end_unknown(failure)
        return await self._record.postpone(error=str(error))

    async def _end_unknown(self, failure: Failure) -> None:
        """End the batch. Each of its open jobs follows its `on_unknown`."""
        self._log.error("native_batch.ended_in_doubt", error=failure.message)
        await self._for_each_open(
            lambda called: self._booking.apply_unknown_policy(called, failure)
        )
        await self._record.end(error=failure.message)

    @property
    def _is_overdue(self) -> bool:
        return now_ms() >= int(self._row.give_up_at)

    # --- the row ---------------------------------------------------------------------------------

    async def _end_and_fall_back(self, failure: Failure, **columns: Any) -> None:
        """End the batch, and return its open jobs to their ordinary lanes."""
        await self._for_each_open(lambda called: self._booking.fall_back(called, failure))
        await self._record.end(**columns)

    async def _cancel(self, upstream_id: str) -> None:
        try:
            await self._fetch(self._api.cancel(upstream_id, self._known_route.upstream))
        except (RefusedCallError, UnconfirmedCallError) as error:
            self._log.warning("native_batch.not_cancelled", error=str(error))

    async def _for_each_open(self, action: Callable[[Called], Awaitable[None]]) -> None:
        """Run `action` for every open job of the batch."""
        while group := await self._record.read(native_batches.open_jobs):
            await asyncio.gather(*(action(called) for called in group))

    async def _open_jobs(self) -> list[Called]:
        found: list[Called] = []
        after = ""
        while group := await self._record.read(native_batches.open_jobs, after):
            found += group
            after = group[-1].job.id
        return found

    async def _fetch(self, call: HttpRequest) -> bytes:
        return await fetch(self._tools.http, call)

    @property
    def _known_route(self) -> ProviderRoute:
        assert self._route is not None
        return self._route

    @property
    def _api(self) -> BatchApi:
        return BATCH_APIS[str(self._known_route.batches)]
