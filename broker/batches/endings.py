"""→ cancelling, finalizing, ended: how a batch stops, and the transaction in which it ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlalchemy import Connection, delete, insert, select, update

from broker import webhooks
from broker.batches.reports import totals, waiting_jobs
from broker.batches.vocabulary import ENDED, OPEN, BatchState, StopReason
from broker.completion import Json
from broker.errors import ConflictError, NotFoundError
from broker.lifecycle import Cancellation, cancel_many
from broker.storage.tables import Batch, BatchLine, StoredFile, table

_batches = table(Batch)
_lines = table(BatchLine)
_files = table(StoredFile)
_RUNNING = (BatchState.VALIDATING.value, BatchState.IN_PROGRESS.value)
CALL_OFF_GROUP = 500


@dataclass(frozen=True, slots=True)
class Stop:
    """No more lines of a batch are to begin. `workspace_id` is given where a caller asks."""

    batch_id: str
    reason: StopReason
    now: int
    workspace_id: str | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """A batch to be brought a step forward by whoever leads."""

    batch_id: str
    now: int


@dataclass(frozen=True, slots=True)
class BatchEnd:
    """A batch's last state, with the files that were written (columns of `files`)."""

    batch_id: str
    state: BatchState
    now: int
    output: Mapping[str, Any] | None = None
    errors: Mapping[str, Any] | None = None
    problems: Sequence[Json] = ()  # OpenAI's shape: code, line, message, param


@dataclass(frozen=True, slots=True)
class Removal:
    """A caller's wish that a batch be forgotten."""

    batch_id: str
    workspace_id: str


def stop_many(connection: Connection, stops: Sequence[Stop]) -> Sequence[BatchState | Exception]:
    """Let no more lines of these batches begin; return the state each is in now."""
    return [_stop(connection, stop) for stop in stops]


def _stop(connection: Connection, stop: Stop) -> BatchState | Exception:
    row = _locked(connection, stop.batch_id)
    if row is None or stop.workspace_id not in {None, row.workspace_id}:
        return NotFoundError(f"There is no batch {stop.batch_id}.")
    if row.state not in _RUNNING:
        if row.state in {BatchState.CANCELLING.value, BatchState.CANCELLED.value}:
            return BatchState(row.state)
        return ConflictError(f"Batch {row.id} is {row.state}; it can no longer be cancelled.")
    connection.execute(
        update(_batches)
        .where(_batches.c.id == row.id)
        .values(
            state=BatchState.CANCELLING.value,
            stop_reason=stop.reason.value,
            waits_for=None,
            cancelling_at=stop.now,
        )
    )
    return BatchState.CANCELLING


def begin_finalizing_many(connection: Connection, steps: Sequence[Advance]) -> Sequence[bool]:
    """Mark batches whose lines have all ended: their files are written next."""
    return [_begin_finalizing(connection, step) for step in steps]


def _begin_finalizing(connection: Connection, step: Advance) -> bool:
    marked = connection.execute(
        update(_batches)
        .where(
            _batches.c.id == step.batch_id,
            _batches.c.state.in_((*_RUNNING, BatchState.CANCELLING.value)),
        )
        .values(state=BatchState.FINALIZING.value, finalizing_at=step.now, waits_for=None)
    )
    return bool(marked.rowcount)


def cancel_jobs_many(connection: Connection, steps: Sequence[Advance]) -> Sequence[int]:
    """Cancel waiting jobs of these batches, a group of each; return how many."""
    return [_cancel_jobs(connection, step) for step in steps]


def _cancel_jobs(connection: Connection, step: Advance) -> int:
    row = _locked(connection, step.batch_id)
    waiting = waiting_jobs(connection, step.batch_id, CALL_OFF_GROUP)
    if waiting:
        wishes = [Cancellation(job_id, row.workspace_id, step.now) for job_id in waiting]
        cancel_many(connection, wishes)
    return len(waiting)


def end_many(connection: Connection, ends: Sequence[BatchEnd]) -> Sequence[bool]:
    """Write last states: files, totals and webhooks in one transaction, once for each batch."""
    return [_end(connection, end) for end in ends]


def _end(connection: Connection, end: BatchEnd) -> bool:
    row = _locked(connection, end.batch_id)
    if row is None or BatchState(row.state) in ENDED:
        return False
    saved = [file for file in (end.output, end.errors) if file is not None]
    if saved:
        connection.execute(delete(_files).where(_files.c.id.in_([file["id"] for file in saved])))
        connection.execute(insert(_files), saved)
    counted = totals(connection, row)
    counted = replace(counted, failed=counted.total - counted.completed, running=0)
    problems = [*end.problems, *_stopped(row.stop_reason)]
    connection.execute(
        update(_batches)
        .where(_batches.c.id == row.id)
        .values(
            state=end.state.value,
            output_file_id=None if end.output is None else end.output["id"],
            error_file_id=None if end.errors is None else end.errors["id"],
            totals=counted.text(),
            errors=orjson.dumps(problems).decode() if problems else None,
            ended_at=end.now,
        )
    )
    webhooks.fan_out(
        connection,
        [webhooks.batch_event(row, end.state.value, end.now)],
    )
    return True


def _stopped(reason: str | None) -> list[Json]:
    """Say in the batch's own errors why it stopped, unless its owner or the clock did it."""
    if reason is None or reason in {StopReason.CANCELLED.value, StopReason.EXPIRED.value}:
        return []
    message = StopReason(reason).of_batch
    return [{"code": reason, "line": None, "message": message, "param": None}]


def remove_many(
    connection: Connection, removals: Sequence[Removal]
) -> Sequence[list[str] | Exception]:
    """Forget batches that have ended; return the ids of their files, whose bytes go next.

    The jobs that the lines became stay: the books refer to them.
    """
    return [_remove(connection, removal) for removal in removals]


def _remove(connection: Connection, removal: Removal) -> list[str] | Exception:
    row = _locked(connection, removal.batch_id)
    if row is None or row.workspace_id != removal.workspace_id:
        return NotFoundError(f"There is no batch {removal.batch_id}.")
    if BatchState(row.state) in OPEN:
        return ConflictError(
            f"Batch {row.id} is {row.state}: cancel it, and delete it once it has ended."
        )
    own = [row.output_file_id, row.error_file_id, row.input_file_id if row.inline else None]
    files = [each for each in own if each is not None]
    connection.execute(delete(_lines).where(_lines.c.batch_id == row.id))
    connection.execute(delete(_batches).where(_batches.c.id == row.id))
    connection.execute(delete(_files).where(_files.c.id.in_(files)))
    return files


def _locked(connection: Connection, batch_id: str) -> Any:
    return connection.execute(
        select(_batches).where(_batches.c.id == batch_id).with_for_update()
    ).first()
