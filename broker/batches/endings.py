"""The last transitions of a batch: cancelling, finalizing and the terminal states; its deletion."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson
from sqlalchemy import Connection, delete, insert, update

from broker import webhooks
from broker.batches.options import ENDED, OPEN, batch_stop_message
from broker.batches.reports import lock_batch, totals, waiting_jobs
from broker.completion import Json
from broker.enums import BatchState, StopReason
from broker.errors import ConflictError, NotFoundError
from broker.lifecycle import Cancellation, cancel_many
from broker.storage.files import FileRow
from broker.storage.tables import Batch, BatchLine, StoredFile, table

_batches = table(Batch)
_lines = table(BatchLine)
_files = table(StoredFile)
_RUNNING = (BatchState.VALIDATING, BatchState.IN_PROGRESS)
CANCEL_GROUP = 500


@dataclass(frozen=True, slots=True)
class BatchEnd:
    """The last state of a batch, with its result files."""

    batch_id: str
    state: BatchState
    now: int
    output: FileRow | None = None
    errors: FileRow | None = None
    problems: Sequence[Json] = ()  # OpenAI's shape: code, line, message, param


def stop_batch(
    connection: Connection,
    batch_id: str,
    reason: StopReason,
    now: int,
    workspace_id: str | None = None,
) -> BatchState:
    """Stop a batch, so that no more of its lines start; return its new state.

    `workspace_id` is that of the caller, if one requests it. Raises NotFoundError, or ConflictError
    for a batch that ended otherwise.
    """
    row = lock_batch(connection, batch_id)
    if row is None or workspace_id not in {None, row.workspace_id}:
        raise NotFoundError(f"There is no batch {batch_id}.")
    if row.state not in _RUNNING:
        if row.state in {BatchState.CANCELLING, BatchState.CANCELLED}:
            return row.state
        raise ConflictError(f"Batch {row.id} is {row.state}; it can no longer be cancelled.")
    connection.execute(
        update(_batches)
        .where(_batches.c.id == row.id)
        .values(
            state=BatchState.CANCELLING,
            stop_reason=reason,
            waits_for=None,
            cancelling_at=now,
        )
    )
    return BatchState.CANCELLING


def begin_finalizing(connection: Connection, batch_id: str, now: int) -> bool:
    """Mark a batch whose jobs have all ended; return False if it was not open."""
    marked = connection.execute(
        update(_batches)
        .where(
            _batches.c.id == batch_id,
            _batches.c.state.in_((*_RUNNING, BatchState.CANCELLING)),
        )
        .values(state=BatchState.FINALIZING, finalizing_at=now, waits_for=None)
    )
    return bool(marked.rowcount)


def cancel_jobs(connection: Connection, batch_id: str, now: int) -> int:
    """Cancel a group of waiting jobs of a batch; return their number."""
    row = lock_batch(connection, batch_id)
    if row is None:
        return 0
    waiting = waiting_jobs(connection, batch_id, CANCEL_GROUP)
    if waiting:
        cancellations = [Cancellation(job_id, row.workspace_id, now) for job_id in waiting]
        cancel_many(connection, cancellations)
    return len(waiting)


def end_batch(connection: Connection, end: BatchEnd) -> bool:
    """Write a batch's last state, files, totals and webhooks; return False if it ended before."""
    row = lock_batch(connection, end.batch_id)
    if row is None or row.state in ENDED:
        return False
    saved = [file for file in (end.output, end.errors) if file is not None]
    if saved:
        connection.execute(delete(_files).where(_files.c.id.in_([file.id for file in saved])))
        connection.execute(insert(_files), [file._asdict() for file in saved])
    counted = totals(connection, row)
    counted = replace(counted, failed=counted.total - counted.completed, running=0)
    problems = [*end.problems, *_stop_error(row.stop_reason)]
    connection.execute(
        update(_batches)
        .where(_batches.c.id == row.id)
        .values(
            state=end.state,
            output_file_id=None if end.output is None else end.output.id,
            error_file_id=None if end.errors is None else end.errors.id,
            totals=counted.to_json(),
            errors=orjson.dumps(problems).decode() if problems else None,
            ended_at=end.now,
        )
    )
    if row.evaluation_id is None:
        event = webhooks.build_batch_event(row, end.state.value, end.now)
        webhooks.fan_out(connection, [event])
    return True


def _stop_error(reason: StopReason | None) -> list[Json]:
    """Return the error of a stopped batch; none if its owner or its deadline stopped it."""
    if reason is None or reason in {StopReason.CANCELLED, StopReason.EXPIRED}:
        return []
    message = batch_stop_message(reason)
    return [{"code": reason.value, "line": None, "message": message, "param": None}]


def delete_batch(connection: Connection, batch_id: str, workspace_id: str) -> list[str]:
    """Delete a batch that has ended; return the ids of its files, whose bytes the caller deletes.

    The jobs of its lines stay: the ledger refers to them. Raises NotFoundError or ConflictError.
    """
    row = lock_batch(connection, batch_id)
    if row is None or row.workspace_id != workspace_id:
        raise NotFoundError(f"There is no batch {batch_id}.")
    if row.state in OPEN:
        raise ConflictError(
            f"Batch {row.id} is {row.state}: cancel it, and delete it once it has ended."
        )
    own = [row.output_file_id, row.error_file_id, row.input_file_id if row.inline else None]
    files = [each for each in own if each is not None]
    connection.execute(delete(_lines).where(_lines.c.batch_id == row.id))
    connection.execute(delete(_batches).where(_batches.c.id == row.id))
    connection.execute(delete(_files).where(_files.c.id.in_(files)))
    return files
