"""The service of batches: insert their lines, end them, and write their files."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import structlog
from redis.asyncio import Redis

from broker import accounts, batches
from broker.background import Service
from broker.batches import (
    Assembler,
    BatchEnd,
    BatchState,
    Group,
    OnError,
    Reader,
    StopReason,
    Taken,
    Wait,
    reports,
)
from broker.batches.assembly import Written
from broker.batches.creation import delete_files_many, find_input
from broker.batches.line_submission import ReadLine
from broker.batches.lines import Findings
from broker.batches.rows import BatchRow
from broker.catalog import LiveCatalog
from broker.clock import now_ms
from broker.credentials import LiveCredentials
from broker.enums import FilePurpose
from broker.providers import configuration
from broker.providers.health import Observer
from broker.rate_limits import Limiter
from broker.settings import Settings
from broker.storage import files
from broker.storage.database import Database
from broker.storage.files import FileStore
from broker.submission import response_cache
from broker.submission.response_cache import CachedJob
from workers.services.leader_election import LeaderElection
from workers.services.open_steps import OpenSteps

TICK_SECONDS = 0.25
PAUSE_SHARE = 0.05  # pause of a batch with open jobs, as a share of its age
MAX_PAUSE_SECONDS = 2.0  # the longest of these pauses
MOMENTARY_MS = 300_000  # shorter pauses and open circuits do not change the plans of lines
SWEEP_SECONDS = 60.0  # between two deletions of expired files
SWEEP_GROUP = 100
ABANDONED_SECONDS = 86_400.0  # since the last byte of a file that is being written

log = structlog.get_logger()


class BatchKeeper:
    """The service that advances the open batches. One process at a time is the leader."""

    def __init__(
        self,
        election: LeaderElection,
        settings: Settings,
        database: Database,
        store: FileStore,
        *,
        redis: Redis,
        limiter: Limiter,
        credentials: LiveCredentials,
        observer: Observer,
    ) -> None:
        self._election = election
        self._settings = settings
        self._database = database
        self._store = store
        self._redis = redis
        self._limiter = limiter
        self._credentials = credentials
        self._observer = observer
        self._catalog = LiveCatalog(settings, configuration.load_providers(settings), database)
        self._reader = Reader(store, self._catalog.current, settings, database)
        self._assembler = Assembler(database, store, settings.public_url)
        self.steps = OpenSteps("batch", database, reports.list_open, self._advance)

    def services(self) -> list[Service]:
        """Return the services. The leader runs them."""
        is_leader = self._election.is_leader
        return [
            Service(
                "batches", TICK_SECONDS, self.steps.advance, is_leader=is_leader, close=self.close
            ),
            Service("expired-files", SWEEP_SECONDS, self.sweep, is_leader=is_leader),
        ]

    async def close(self) -> None:
        """Cancel the steps that are running."""
        await self.steps.close()

    async def sweep(self) -> None:
        """Delete expired files, and unfinished files that are no longer written."""
        abandoned = time.time() - ABANDONED_SECONDS
        await asyncio.to_thread(self._store.tidy, abandoned)
        for file_id in await self._database.read(files.list_expired, now_ms(), SWEEP_GROUP):
            if await self._database.write_grouped(delete_files_many, file_id):
                await asyncio.to_thread(self._store.delete, file_id)

    async def _advance(self, row: BatchRow) -> None:
        if row.state is BatchState.FINALIZING:
            await self._finish(row)
        elif row.state is BatchState.CANCELLING:
            await self._cancel(row)
        else:
            await self._insert_lines(row)

    # --- validating, in_progress -----------------------------------------------------------------

    async def _insert_lines(self, row: BatchRow) -> None:
        """Insert groups of lines as jobs, until there are no more or they have to wait."""
        if row.state is BatchState.VALIDATING and await self._end_if_unusable(row):
            return
        while row.lines_read < row.lines_total:
            if await self._stop_if_over(row):
                return
            had_open = await self._database.read(reports.has_open_job, row.id)
            try:
                taken = await self._insert_group(row)
            except FileNotFoundError:
                await self._stop(row, StopReason.INPUT_LOST)
                return
            if (reason := taken.waits_for) is not None:
                if isinstance(reason, StopReason) and not had_open and not taken.lines:
                    await self._stop(row, reason)
                self.steps.pause(row)
                return
            again = await self._reload(row)
            if again is None or again.state is not BatchState.IN_PROGRESS:
                return
            row = again
        if not await self._stop_if_over(row):
            await self._finish_if_done(row)

    async def _insert_group(self, row: BatchRow) -> Taken:
        principal = await self._database.read(
            accounts.find_principal, row.workspace_id, row.api_key_id
        )
        left = None
        if row.max_cost_nanos is not None:
            left = await self._database.read(batches.budget, row.id, row.max_cost_nanos)
        await self._catalog.refresh()
        reader = replace(
            self._reader,
            catalog=self._catalog.current,
            snapshot=self._observer.snapshot.drop_ending_within(MOMENTARY_MS),
        )
        with_credentials = self._credentials.with_credentials(principal)
        lines = await asyncio.to_thread(reader.group, row, with_credentials)
        lines = await self._with_cached(row, lines)
        now = now_ms()
        allowed = await batches.let_in(self._limiter, lines, principal, self._settings, now)
        waits_for = Wait.LIMITS if len(allowed.lines) < len(lines) else None
        group = Group(row.id, row.cursor, allowed.lines, left, now, waits_for)
        taken = Taken(0)
        try:
            taken = await self._database.write(batches.insert_lines, group, low_priority=True)
        finally:
            await batches.give_back(self._limiter, allowed, taken.jobs, now)
        await self._store_in_cache(row, allowed.lines[: taken.lines])
        return taken

    async def _with_cached(self, row: BatchRow, lines: Sequence[ReadLine]) -> list[ReadLine]:
        """Return lines with the earlier jobs whose cached answers they get."""
        return [
            line
            if line.cache_key is None
            else replace(
                line,
                earlier=await response_cache.find_answer(
                    self._redis, self._database, row.workspace_id, line.cache_key
                ),
            )
            for line in lines
        ]

    async def _store_in_cache(self, row: BatchRow, lines: Sequence[ReadLine]) -> None:
        """Let later calls use the answers of these lines."""
        ttl = batches.options_of(row).cache_ttl_seconds
        for line in lines:
            if ttl is not None and line.cache_key and line.job and line.earlier is None:
                await response_cache.store_quietly(
                    self._redis,
                    line.cache_key,
                    CachedJob(line.job.id, ttl),
                    timeout_seconds=max(row.expires_at - row.created_at, 0) // 1000,
                )

    async def _stop_if_over(self, row: BatchRow) -> bool:
        """Stop a batch that has expired with lines left, or that stops at its first error."""
        if now_ms() >= row.expires_at and row.lines_read < row.lines_total:
            return await self._stop(row, StopReason.EXPIRED)
        stops_on_error = batches.options_of(row).on_error is OnError.STOP
        if stops_on_error and await self._database.read(reports.has_failed_line, row.id):
            return await self._stop(row, StopReason.ON_ERROR)
        return False

    async def _stop(self, row: BatchRow, reason: StopReason) -> bool:
        await self._database.write(batches.stop_batch, row.id, reason, now_ms())
        log.info("batch.stopped", batch=row.id, reason=reason.value)
        return True

    async def _end_if_unusable(self, row: BatchRow) -> bool:
        """End a batch if its input has no valid line or a duplicate id. No line is run."""
        file = await self._database.read(find_input, row.input_file_id)
        if file is None or file.problems is None:
            return False
        found = Findings.load(file.problems, row.lines_total)
        if not found.stops_batch:
            return False
        end = BatchEnd(row.id, BatchState.FAILED, now_ms(), problems=found.problems)
        return await self._database.write(batches.end_batch, end)

    # --- cancelling ------------------------------------------------------------------------------

    async def _cancel(self, row: BatchRow) -> None:
        """Cancel the waiting jobs. Running jobs continue, because they are paid for anyway."""
        while await self._database.write(batches.cancel_jobs, row.id, now_ms()):
            pass
        await self._finish_if_done(row)

    # --- finalizing ------------------------------------------------------------------------------

    async def _finish_if_done(self, row: BatchRow) -> None:
        if await self._database.read(reports.has_open_job, row.id):
            age = (now_ms() - row.created_at) / 1000
            self.steps.pause(row, min(age * PAUSE_SHARE, MAX_PAUSE_SECONDS))
            return
        if await self._database.write(batches.begin_finalizing, row.id, now_ms()):
            again = await self._reload(row)
            if again is not None:
                await self._finish(again)

    async def _finish(self, row: BatchRow) -> None:
        """Write the result files, and then the end of the batch. The order must not change."""
        output, errors = Written(""), Written("")  # an evaluation reads its lines from the database
        if row.evaluation_id is None:
            output, errors = await asyncio.to_thread(self._assembler.write, row)
        state = await self._database.read(reports.find_last_state, row)
        end = BatchEnd(row.id, state, now_ms(), self._file(row, output), self._file(row, errors))
        if await self._database.write(batches.end_batch, end):
            log.info("batch.ended", batch=row.id, state=state.value, lines=row.lines_total)

    def _file(self, row: BatchRow, written: Written) -> files.FileRow | None:
        if not written.lines:
            return None
        now = now_ms()
        kept = batches.options_of(row).output_expires_seconds
        kind = "errors" if written.file_id.endswith("E") else "output"
        return files.FileRow(
            written.file_id,
            row.workspace_id,
            FilePurpose.BATCH_OUTPUT,
            written.size,
            now,
            api_key_id=row.api_key_id,
            filename=f"{row.id}_{kind}.jsonl",
            media_type="application/jsonl",
            lines=written.lines,
            expires_at=None if kept is None else now + kept * 1000,
        )

    async def _reload(self, row: BatchRow) -> BatchRow | None:
        return await self._database.read(reports.find_batch, row.id)
