"""Read batches, their totals and their lines.

The totals of an open batch are counted from its jobs. So they are always exact, and the end of a
line costs no additional write.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter

import orjson
from sqlalchemy import Connection, and_, func, or_, select

from broker.batches.options import OPEN
from broker.batches.rows import BatchRow, LineRow
from broker.enums import BatchState, Dialect, JobState, StopReason
from broker.jobs.states import INACTIVE, TERMINAL, WAITING
from broker.queues import NATIVE_LANE
from broker.storage.tables import Batch, BatchLine, Generation, Job, JobPayload, columns, table

_batches = table(Batch)
_lines = table(BatchLine)
_jobs = table(Job)
_payloads = table(JobPayload)
_generations = table(Generation)

_WAITING_OR_RUNNING = [state for state in JobState if state not in INACTIVE]

_SELECT = select(*columns(BatchRow, _batches))


@dataclass(frozen=True, slots=True)
class BatchTotals:
    """The totals of a batch. Lines are counted by custom_id, money and tokens by job."""

    total: int
    completed: int
    failed: int
    running: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_nanos: int
    own_key_answers: int = 0  # lines that were answered with the workspace's own credential
    byok_cost_nanos: int = 0  # charged by providers for these

    @classmethod
    def from_json(cls, text: str) -> "BatchTotals":
        """Read totals as `batches.totals` has them."""
        return cls(**orjson.loads(text))

    def to_json(self) -> str:
        """Return the totals as `batches.totals` has them."""
        return orjson.dumps(asdict(self)).decode()


@dataclass(frozen=True, slots=True)
class BatchPage:
    """A page of a workspace's batches, newest first. Times are Unix milliseconds."""

    workspace_id: str
    limit: int
    after: str | None = None
    states: Sequence[BatchState] = ()  # none: all
    created_after: int | None = None
    created_before: int | None = None
    api_key_id: str | None = None  # None: of all keys
    dialect: Dialect | None = None  # None: of all dialects
    before: str | None = None  # then the page has the oldest of the batches that are newer


@dataclass(frozen=True, slots=True)
class BatchReport:
    """A batch with its totals."""

    row: BatchRow
    totals: BatchTotals


def find_batch(connection: Connection, batch_id: str) -> BatchRow | None:
    """Return a batch, or None if there is none with this id."""
    row = connection.execute(_SELECT.where(_batches.c.id == batch_id)).first()
    return None if row is None else BatchRow(*row)


def lock_batch(connection: Connection, batch_id: str) -> BatchRow | None:
    """Return a batch, and lock its row until the transaction ends."""
    query = _SELECT.where(_batches.c.id == batch_id).with_for_update()
    row = connection.execute(query).first()
    return None if row is None else BatchRow(*row)


def find(connection: Connection, workspace_id: str, batch_id: str) -> BatchReport | None:
    """Return one batch of this workspace that is not part of an evaluation."""
    found = connection.execute(
        _SELECT.where(
            _batches.c.id == batch_id,
            _batches.c.workspace_id == workspace_id,
            _batches.c.evaluation_id.is_(None),
        )
    ).first()
    if found is None:
        return None
    row = BatchRow(*found)
    return BatchReport(row, totals(connection, row))


def find_last_state(connection: Connection, row: BatchRow) -> BatchState:
    """Return the terminal state of a batch without open jobs."""
    if row.stop_reason is StopReason.EXPIRED:
        return BatchState.EXPIRED
    if row.stop_reason is not None:
        return BatchState.CANCELLED
    has_expired = _has_job_in(connection, row.id, [JobState.EXPIRED])
    return BatchState.EXPIRED if has_expired else BatchState.COMPLETED


def page(connection: Connection, wanted: BatchPage) -> list[BatchReport]:
    """Return a page of batches with their totals."""
    query = (
        _SELECT.where(
            _batches.c.workspace_id == wanted.workspace_id, _batches.c.evaluation_id.is_(None)
        )
        .order_by(_batches.c.id.desc() if wanted.before is None else _batches.c.id)
        .limit(wanted.limit)
    )
    if wanted.before is not None:
        query = query.where(_batches.c.id > wanted.before)
    if wanted.after is not None:
        query = query.where(_batches.c.id < wanted.after)
    if wanted.api_key_id is not None:
        query = query.where(_batches.c.api_key_id == wanted.api_key_id)
    if wanted.dialect is not None:
        query = query.where(_batches.c.dialect == wanted.dialect)
    if wanted.states:
        query = query.where(_batches.c.state.in_(wanted.states))
    if wanted.created_after is not None:
        query = query.where(_batches.c.created_at > wanted.created_after)
    if wanted.created_before is not None:
        query = query.where(_batches.c.created_at < wanted.created_before)
    rows = [BatchRow(*row) for row in connection.execute(query)]
    rows.sort(key=attrgetter("id"), reverse=True)
    return [BatchReport(row, totals(connection, row)) for row in rows]


def list_open(connection: Connection) -> Sequence[BatchRow]:
    """Return the batches that have not ended, oldest first."""
    query = _SELECT.where(_batches.c.state.in_(OPEN)).order_by(_batches.c.id)
    return [BatchRow(*row) for row in connection.execute(query)]


def list_ended_before(
    connection: Connection, workspace_id: str, before: int, most: int
) -> Sequence[str]:
    """Return the ids of up to `most` batches of a workspace that ended by `before`."""
    query = select(_batches.c.id).where(
        _batches.c.workspace_id == workspace_id,
        _batches.c.ended_at <= before,
        _batches.c.evaluation_id.is_(None),
    )
    return connection.execute(query.limit(most)).scalars().all()


def totals(connection: Connection, row: BatchRow) -> BatchTotals:
    """Count the totals of an open batch, or return those that were stored when it ended."""
    if row.totals is not None:
        return BatchTotals.from_json(row.totals)
    counts = _counts(connection, row.id)
    ended = sum(counts.get(state, 0) for state in INACTIVE)
    completed = counts.get(JobState.COMPLETED, 0)
    usage = _usage(connection, row.id)
    return BatchTotals(
        total=row.lines_total,
        completed=completed,
        failed=ended - completed + counts.get(None, 0),
        running=counts.get(JobState.RUNNING, 0),
        **usage,
    )


def _counts(connection: Connection, batch_id: str) -> dict[JobState | None, int]:
    """Return the number of lines in each job state; None stands for lines that became no job."""
    query = (
        select(_jobs.c.state, func.count())
        .select_from(_lines.outerjoin(_jobs, _jobs.c.id == _lines.c.job_id))
        .where(_lines.c.batch_id == batch_id)
        .group_by(_jobs.c.state)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def count_states(connection: Connection, row: BatchRow) -> dict[JobState | None, int]:
    """Return the number of read lines in each job state; None stands for refused lines."""
    return _counts(connection, row.id)


def _usage(connection: Connection, batch_id: str) -> dict[str, int]:
    made = _generations.c
    fresh, read, written = made.input_tokens, made.cache_read_tokens, made.cache_write_tokens
    sums = {
        "input_tokens": func.coalesce(func.sum(fresh), 0)
        + func.coalesce(func.sum(read), 0)
        + func.coalesce(func.sum(written), 0),
        "cached_tokens": func.coalesce(func.sum(read), 0),
        "output_tokens": func.coalesce(func.sum(made.output_tokens), 0),
        "reasoning_tokens": func.coalesce(func.sum(made.reasoning_tokens), 0),
        "cost_nanos": func.coalesce(func.sum(made.cost_nanos), 0),
        "own_key_answers": func.count().filter(made.is_byok),
        "byok_cost_nanos": func.coalesce(func.sum(made.byok_cost_nanos), 0),
    }
    query = (
        select(*[each.label(name) for name, each in sums.items()])
        .join(_jobs, _jobs.c.id == made.job_id)
        .where(_jobs.c.batch_id == batch_id)
    )
    return dict(zip(sums, map(int, connection.execute(query).one()), strict=True))


def has_open_job(connection: Connection, batch_id: str) -> bool:
    """Return whether a job of the batch waits or runs."""
    return _has_job_in(connection, batch_id, _WAITING_OR_RUNNING)


def has_failed_line(connection: Connection, batch_id: str) -> bool:
    """Return whether a line of the batch has failed, as a job or before it became one."""
    failed = [state for state in TERMINAL if state is not JobState.COMPLETED]
    if _has_job_in(connection, batch_id, failed):
        return True
    refused = select(_lines.c.number).where(
        _lines.c.batch_id == batch_id, _lines.c.job_id.is_(None)
    )
    return connection.execute(refused.limit(1)).first() is not None


def _has_job_in(connection: Connection, batch_id: str, states: Sequence[JobState]) -> bool:
    query = select(_jobs.c.id).where(_jobs.c.batch_id == batch_id, _jobs.c.state.in_(states))
    return connection.execute(query.limit(1)).first() is not None


def waiting_jobs(connection: Connection, batch_id: str, most: int) -> Sequence[str]:
    """Return up to `most` jobs of the batch that no worker runs, or that are in a native batch."""
    waiting = [*WAITING, JobState.NEEDS_REVIEW]
    is_upstream = and_(
        _jobs.c.state == JobState.RUNNING,
        _jobs.c.lane == NATIVE_LANE,
        _jobs.c.cancel_requested.is_(False),
    )
    query = select(_jobs.c.id).where(
        _jobs.c.batch_id == batch_id, or_(_jobs.c.state.in_(waiting), is_upstream)
    )
    return connection.execute(query.limit(most)).scalars().all()


def lines(
    connection: Connection,
    batch_id: str,
    after: int,
    most: int,
    *,
    ended: bool = True,
    ended_after: int | None = None,
) -> Sequence[LineRow]:
    """Return lines in the order of the input.

    `ended` leaves out lines whose jobs wait or run, `ended_after` (Unix milliseconds) those whose
    jobs ended earlier. Lines that became no job are always included.
    """
    query = (
        select(
            _lines.c.number,
            _lines.c.custom_id,
            _lines.c.error.label("refusal"),
            _jobs.c.id.label("job_id"),
            _jobs.c.state,
            _jobs.c.error,
            _jobs.c.operation,
            _payloads.c.response,
            _jobs.c.dialect,
            _jobs.c.model,
            _jobs.c.created_at,
            _payloads.c.caller_body,
            _jobs.c.ended_at,
        )
        .select_from(
            _lines.outerjoin(_jobs, _jobs.c.id == _lines.c.job_id).outerjoin(
                _payloads, _payloads.c.job_id == _lines.c.job_id
            )
        )
        .where(_lines.c.batch_id == batch_id, _lines.c.number > after)
        .order_by(_lines.c.number)
        .limit(most)
    )
    if ended:
        query = query.where(_lines.c.job_id.is_(None) | _jobs.c.state.in_(INACTIVE))
    if ended_after is not None:
        query = query.where(_lines.c.job_id.is_(None) | (_jobs.c.ended_at >= ended_after))
    return [LineRow(*row) for row in connection.execute(query)]


def completed_numbers(connection: Connection, batch_id: str) -> frozenset[int]:
    """Return the numbers of the lines that have an answer."""
    query = (
        select(_lines.c.number)
        .join(_jobs, _jobs.c.id == _lines.c.job_id)
        .where(_lines.c.batch_id == batch_id, _jobs.c.state == JobState.COMPLETED)
    )
    return frozenset(connection.execute(query).scalars())
