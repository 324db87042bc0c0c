"""Submit the lines of a batch (validating → in_progress): insert their jobs and move the cursor.

A group of lines, their jobs and the cursor are one transaction. Rate limits and budgets decide how
many lines of a group are inserted.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

import orjson
from sqlalchemy import Connection, func, insert, select, update

from broker import submission
from broker.accounts import Principal
from broker.batches.options import Wait
from broker.batches.reports import lock_batch
from broker.batches.rows import BatchRow
from broker.dialects.errors import ApiError
from broker.enums import BatchState, Dialect, StopReason
from broker.errors import BudgetExceededError, InsufficientCreditsError, WaybillError
from broker.jobs.error_envelope import envelope
from broker.jobs.reports import JobReport
from broker.jobs.states import TERMINAL
from broker.rate_limits import Limiter, RateLimit, limits_of
from broker.settings import Settings
from broker.storage.frequent_statements import FrequentInsert
from broker.storage.tables import Batch, BatchLine, Generation, Job, table
from broker.submission import NewJob, Submitted
from broker.submission.response_cache import CachedAnswer, replay_many

_batches = table(Batch)
_lines = table(BatchLine)
_jobs = table(Job)
_generations = table(Generation)
MARGIN = 2
"""The highest hold of a line that runs alone, as a multiple of its likely cost."""

_TAKING = (BatchState.VALIDATING, BatchState.IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class ReadLine:
    """A line of the input, with its job or its error."""

    end: int  # offset of the byte after it
    custom_id: str | None
    job: NewJob | None = None
    digest: str | None = None
    error: str | None = None  # JSON {status, error, dialect}
    dialect: Dialect | None = None
    cache_key: str | None = None  # None: no earlier answer is used
    earlier: JobReport | None = None  # the job whose cached answer the line gets


@dataclass(frozen=True, slots=True)
class Group:
    """The next lines of a batch; `budget` limits their holds, in nano-dollars.

    `waits_for` is the reason why there are not more lines.
    """

    batch_id: str
    cursor: int  # offset of their first byte
    lines: Sequence[ReadLine]
    budget: int | None
    now: int
    waits_for: Wait | None = None


class _LineRow(NamedTuple):
    """A row of `batch_lines`."""

    batch_id: str
    number: int
    custom_id: str | None
    job_id: str | None
    digest: str | None
    error: str | None


_INSERT_LINES = FrequentInsert(insert(_lines), _LineRow._fields)

Results: TypeAlias = Mapping[int, Submitted | Exception]
"""The outcome of the submission of a line's job, by the line's index in the group."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The lines of a group that were inserted, and the reason why the next one waits."""

    lines: int
    waits_for: StopReason | Wait | None = None
    jobs: frozenset[str] = field(default=frozenset(), compare=False)  # of these lines


def insert_lines(connection: Connection, group: Group) -> Taken:
    """Insert lines and their jobs, unless the batch was stopped or its cursor has moved on."""
    batch = lock_batch(connection, group.batch_id)
    if batch is None or batch.state not in _TAKING or batch.cursor != group.cursor:
        return Taken(0)
    known = _known_digests(connection, group)
    lines, waits_for = _affordable(group, known, is_idle=_is_idle(connection, group))
    rows, refused = _submit(connection, batch, lines, known)
    if refused is not None:
        rows, waits_for = rows[:refused], StopReason.CREDITS
    _INSERT_LINES.run(connection, [row._asdict() for row in rows])
    jobs = frozenset(row.job_id for row in rows if row.job_id is not None)
    taken = Taken(len(rows), waits_for or group.waits_for, jobs)
    _advance(connection, batch, group, taken)
    return taken


def _affordable(
    group: Group, known: Mapping[str, str], *, is_idle: bool
) -> tuple[Sequence[ReadLine], StopReason | None]:
    """Return the first lines whose holds are within the budget, and why there are not more."""
    if group.budget is None:
        return group.lines, None
    left, seen, is_alone = group.budget, set(known), is_idle
    for index, line in enumerate(group.lines):
        if line.job is None or line.earlier or (line.digest is not None and line.digest in seen):
            continue
        job = line.job
        if left < job.row["hold_nanos"] and not (is_alone and left >= MARGIN * job.least_nanos):
            return group.lines[:index], StopReason.MAX_COST
        left -= job.row["hold_nanos"]
        is_alone = False
        if line.digest is not None:
            seen.add(line.digest)
    return group.lines, None


def _is_idle(connection: Connection, group: Group) -> bool:
    """Return whether a batch with a budget has no open job."""
    if group.budget is None:
        return False
    found = select(_jobs.c.id).where(
        _jobs.c.batch_id == group.batch_id, _jobs.c.state.not_in(TERMINAL)
    )
    return connection.execute(found.limit(1)).first() is None


def _submit(
    connection: Connection, batch: BatchRow, lines: Sequence[ReadLine], known: Mapping[str, str]
) -> tuple[list[_LineRow], int | None]:
    """Insert the jobs of these lines; return the rows of the lines.

    If the credits do not cover a line, return its index, too: no job from there on is inserted.
    """
    jobs = _jobs_by_place(lines, known)
    if not jobs:
        return _rows(batch, lines, {}, dict(known)), None
    attempt = connection.begin_nested()
    results = _submit_jobs(connection, lines, jobs)
    unpaid = next((place for place, result in results.items() if _is_unpaid(result)), None)
    if unpaid is not None:
        attempt.rollback()
        rows, _ = _submit(connection, batch, lines[:unpaid], known) if unpaid else ([], None)
        return rows, unpaid
    attempt.commit()
    return _rows(batch, lines, results, dict(known)), None


def _submit_jobs(
    connection: Connection, lines: Sequence[ReadLine], jobs: Mapping[int, NewJob]
) -> dict[int, Submitted | Exception]:
    """Insert jobs, and complete those with a cached answer; return the results by index."""
    fresh = {place: job for place, job in jobs.items() if lines[place].earlier is None}
    cached = {
        place: CachedAnswer(job, earlier, job.row["created_at"])
        for place, job in jobs.items()
        if (earlier := lines[place].earlier) is not None
    }
    results: dict[int, Submitted | Exception] = {}
    if fresh:
        submitted = submission.submit_many(connection, list(fresh.values()))
        results |= zip(fresh, submitted, strict=True)
    if cached:
        replayed = replay_many(connection, list(cached.values()))
        results |= zip(cached, replayed, strict=True)
    return dict(sorted(results.items()))


def _jobs_by_place(lines: Sequence[ReadLine], known: Mapping[str, str]) -> dict[int, NewJob]:
    """Return the jobs to insert, by index: one job for all lines with the same digest."""
    jobs: dict[int, NewJob] = {}
    seen = set(known)
    for place, line in enumerate(lines):
        if line.job is None or (line.digest is not None and line.digest in seen):
            continue
        jobs[place] = line.job
        if line.digest is not None:
            seen.add(line.digest)
    return jobs


def _rows(
    batch: BatchRow, lines: Sequence[ReadLine], results: Results, job_of: dict[str, str]
) -> list[_LineRow]:
    rows = []
    error_of: dict[str | None, str] = {}
    for place, line in enumerate(lines):
        result = results.get(place)
        job_id = None if isinstance(result, Exception) else _job_id(line, result, job_of)
        error = line.error
        if isinstance(result, Exception):
            error = refusal(result, line.dialect)
        if line.digest is not None and job_id is not None:
            job_of[line.digest] = job_id
        elif line.digest is not None:  # an error is the same for all lines with this digest
            error = error_of.setdefault(line.digest, error or "")
        rows.append(
            _LineRow(
                batch_id=batch.id,
                number=batch.lines_read + place + 1,
                custom_id=line.custom_id,
                job_id=job_id,
                digest=line.digest,
                error=error,
            )
        )
    return rows


def _job_id(line: ReadLine, result: Submitted | None, job_of: Mapping[str, str]) -> str | None:
    if result is not None:
        return result.job_id
    return job_of.get(line.digest) if line.digest is not None else None


def _is_unpaid(result: Submitted | Exception) -> bool:
    return isinstance(result, InsufficientCreditsError | BudgetExceededError)


def _advance(connection: Connection, batch: BatchRow, group: Group, taken: Taken) -> None:
    connection.execute(
        update(_batches)
        .where(_batches.c.id == batch.id)
        .values(
            state=BatchState.IN_PROGRESS,
            in_progress_at=batch.in_progress_at or group.now,
            cursor=group.lines[taken.lines - 1].end if taken.lines else batch.cursor,
            lines_read=batch.lines_read + taken.lines,
            waits_for=None if taken.waits_for is None else taken.waits_for.value,
        )
    )


def _known_digests(connection: Connection, group: Group) -> dict[str, str]:
    wanted = {line.digest for line in group.lines if line.digest is not None}
    if not wanted:
        return {}
    found = connection.execute(
        select(_lines.c.digest, _lines.c.job_id).where(
            _lines.c.batch_id == group.batch_id,
            _lines.c.digest.in_(wanted),
            _lines.c.job_id.is_not(None),
        )
    )
    return {row.digest: row.job_id for row in found}


def refusal(error: Exception, dialect: Dialect | None) -> str:
    """Return the error of a line without a job, as it is stored (`encode_refusal`)."""
    refused = error if isinstance(error, WaybillError) else WaybillError("This line broke.")
    metadata = {"error_type": refused.error_type.value, **refused.metadata}
    said = ApiError(refused.status, refused.message, metadata, refused.param)
    return encode_refusal(said, dialect)


def encode_refusal(error: ApiError, dialect: Dialect | None) -> str:
    """Return the JSON of the column `batch_lines.error`: {status, error, dialect}."""
    body = envelope(error.status, error.message, error.metadata, error.param)
    return orjson.dumps({"status": error.status, **body, "dialect": dialect}).decode()


def budget(connection: Connection, batch_id: str, max_cost_nanos: int) -> int:
    """Return the rest of a batch's max_cost in nano-dollars, after settlements and open holds."""
    held = select(func.coalesce(func.sum(_jobs.c.hold_nanos), 0)).where(
        _jobs.c.batch_id == batch_id, _jobs.c.state.not_in(TERMINAL)
    )
    paid = (
        select(func.coalesce(func.sum(_generations.c.cost_nanos), 0))
        .join(_jobs, _jobs.c.id == _generations.c.job_id)
        .where(_jobs.c.batch_id == batch_id)
    )
    spent = connection.execute(held).scalar_one() + connection.execute(paid).scalar_one()
    return max_cost_nanos - int(spent)


CALLS_SHARE = 5  # batches leave a fifth of each limit to other calls


@dataclass(frozen=True, slots=True)
class Allowed:
    """The first lines that rate limits allow, and the limits that counted their jobs."""

    lines: Sequence[ReadLine]
    counted: Mapping[str, Sequence[RateLimit]]  # by job id


async def let_in(
    limiter: Limiter, lines: Sequence[ReadLine], principal: Principal, settings: Settings, now: int
) -> Allowed:
    """Count lines against the limits of their key and workspace, until one is reached."""
    counted: dict[str, Sequence[RateLimit]] = {}
    for place, line in enumerate(lines):
        if line.job is None:
            continue
        job = line.job
        limits = limits_of(principal, job.row, settings, is_free=job.is_free)
        if not limits:
            continue
        limits = [_without_calls_share(limit) for limit in limits]
        if await limiter.take(limits, line.job.id, now) is not None:
            return Allowed(lines[:place], counted)
        counted[line.job.id] = limits
    return Allowed(lines, counted)


async def give_back(limiter: Limiter, allowed: Allowed, made: Collection[str], now: int) -> None:
    """Give back the counts of lines whose jobs were not inserted."""
    for job_id, limits in allowed.counted.items():
        if job_id not in made:
            await limiter.give_back(limits, job_id, now)


def _without_calls_share(limit: RateLimit) -> RateLimit:
    return replace(limit, most=limit.most - limit.most // CALLS_SHARE)
