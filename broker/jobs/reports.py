"""Read-only questions: one job with its attempts, lists and searches, generations, past events."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection, func, select

from broker.clock import seconds
from broker.completion import AttemptOutcome
from broker.enums import JobState
from broker.events import job_events
from broker.events.job_events import Event
from broker.events.stored_logs import StoredLog
from broker.ids import generation_id
from broker.jobs.rows import (
    EndedJobCount,
    JobAttemptRow,
    JobPayloadRow,
    JobRow,
    ListedJobRow,
    OpenJobCount,
)
from broker.jobs.searches import EVERY_JOB, JobSearch, narrow
from broker.jobs.states import INACTIVE, TERMINAL
from broker.queues import Lane
from broker.storage.tables import Attempt, Generation, Job, JobPayload, columns, table
from broker.usage import GenerationRow

_jobs = table(Job)
_payloads = table(JobPayload)
_attempts = table(Attempt)
_generations = table(Generation)
_SELECT_JOBS = select(*columns(JobRow, _jobs))
_SELECT_ATTEMPTS = select(*columns(JobAttemptRow, _attempts)).order_by(_attempts.c.number)
_SELECT_GENERATIONS = select(*columns(GenerationRow, _generations))
_SELECT_PAYLOADS = select(
    _payloads.c.job_id,
    _payloads.c.request,
    _payloads.c.plan,
    _payloads.c.extra,
    _payloads.c.response,
    _payloads.c.events.is_not(None),
    _payloads.c.caller_body,
)

END_OF_LOST_LOG = 1_000_000_000
"""The number of the last event where it is not known how many came before it."""


@dataclass(frozen=True, slots=True)
class JobReport:
    """A job as its owner sees it, in rows."""

    job: JobRow
    payload: JobPayloadRow
    attempts: Sequence[JobAttemptRow]
    generation: GenerationRow | None
    queue_position: int | None  # 0 = next; None unless queued


def job(connection: Connection, workspace_id: str, job_id: str) -> JobReport | None:
    """Return everything about one job of this workspace."""
    query = _SELECT_JOBS.where(_jobs.c.id == job_id, _jobs.c.workspace_id == workspace_id)
    found = connection.execute(query).first()
    if found is None:
        return None
    row = JobRow(*found)
    return JobReport(
        job=row,
        payload=_find_payloads(connection, [job_id])[job_id],
        attempts=_find_attempts(connection, [job_id])[job_id],
        generation=_find_generations(connection, [job_id]).get(job_id),
        queue_position=_queue_position(connection, row),
    )


def ended(connection: Connection, job_ids: Collection[str]) -> dict[str, JobReport]:
    """Return everything about jobs that wait for nothing any more, by id."""
    query = _SELECT_JOBS.where(_jobs.c.id.in_(job_ids))
    rows = [JobRow(*row) for row in connection.execute(query)]
    payloads = _find_payloads(connection, job_ids)
    attempts = _find_attempts(connection, job_ids)
    generations = _find_generations(connection, job_ids)
    return {
        row.id: JobReport(row, payloads[row.id], attempts[row.id], generations.get(row.id), None)
        for row in rows
    }


def jobs(
    connection: Connection,
    workspace_id: str,
    limit: int,
    after: str | None = None,
    search: JobSearch = EVERY_JOB,
) -> list[ListedJobRow]:
    """Return a workspace's jobs, newest first, with their costs; `after` is the last id seen."""
    query = (
        _SELECT_JOBS.add_columns(_generations.c.cost_nanos)
        .outerjoin(_generations, _generations.c.job_id == _jobs.c.id)
        .where(_jobs.c.workspace_id == workspace_id)
        .order_by(_jobs.c.id.desc())
        .limit(limit)
    )
    if after is not None:
        query = query.where(_jobs.c.id < after)
    found = connection.execute(narrow(query, search, connection.dialect.name))
    return [ListedJobRow(JobRow(*row), cost_nanos) for *row, cost_nanos in found]


def settled(connection: Connection, job_ids: Sequence[str]) -> list[str]:
    """Return those of `job_ids` in which nothing more happens by itself."""
    return list(
        connection.execute(
            select(_jobs.c.id).where(
                _jobs.c.id.in_(job_ids), _jobs.c.state.in_([state.value for state in INACTIVE])
            )
        ).scalars()
    )


def count_open(connection: Connection, workspace_id: str | None = None) -> list[OpenJobCount]:
    """Return the numbers of jobs that have not ended, of one workspace or (None) of all.

    A job that found its provider busy keeps its first due time. Jobs in review are included.
    """
    open_ = [state.value for state in JobState if state not in TERMINAL]
    query = (
        select(
            _jobs.c.provider,
            _jobs.c.lane,
            _jobs.c.state,
            func.count(),
            func.min(func.coalesce(_jobs.c.waiting_since, _jobs.c.available_at)),
        )
        .where(_jobs.c.state.in_(open_))
        .group_by(_jobs.c.provider, _jobs.c.lane, _jobs.c.state)
    )
    if workspace_id is not None:
        # an expression keeps SQLite from the index of workspaces: most of their jobs have ended
        query = query.where(func.coalesce(_jobs.c.workspace_id, "") == workspace_id)
    return [OpenJobCount(*row) for row in connection.execute(query)]


def count_ended(connection: Connection, job_ids: Sequence[str]) -> list[EndedJobCount]:
    """Return the numbers of these jobs, which have ended, by their kind."""
    kind = (_jobs.c.provider, _jobs.c.lane, _jobs.c.state)
    query = select(*kind, func.count()).where(_jobs.c.id.in_(job_ids)).group_by(*kind)
    return [EndedJobCount(*row) for row in connection.execute(query)]


def past_events(report: JobReport) -> list[Event]:
    """Return the events of a job without a stored log, numbered as its worker numbered them.

    They follow from its attempts: one `started` each, one `retrying` after each that was followed
    by another or by a wait for one, then the end. A streamed job that ended without its worker has
    no stored log. The number of events that its readers received is unknown, so its end has a
    number above all others.
    """
    state = report.job.state
    log_events: list[tuple[str, dict[str, Any]]] = []
    for attempt in report.attempts:
        log_events.append((job_events.STARTED, _started_event(attempt)))
        if attempt is not report.attempts[-1] or _was_queued_again(report.job, attempt):
            log_events.append((job_events.RETRYING, _retrying_event(attempt)))
    log = [
        Event(number, type_, orjson.dumps(data))
        for number, (type_, data) in enumerate(log_events, start=1)
    ]
    if state in INACTIVE:
        last = END_OF_LOST_LOG if report.job.stream else len(log) + 1
        log.append(Event(last, state.value, orjson.dumps(end_event(report))))
    return log


class EventLog(Protocol):
    """Read a job's stored events, a page at a time."""

    def page(self, connection: Connection) -> list[Event]:
        """Return the next events, none after the last."""


class _KnownLog:
    """The only page of a job without a stored log."""

    def __init__(self, log_events: list[Event]) -> None:
        self._events = log_events

    def page(self, _: Connection) -> list[Event]:
        log_events, self._events = self._events, []
        return log_events


def open_log(report: JobReport, after: int = 0) -> EventLog:
    """Return a job's event log above `after`. That of a streamed job is stored when it ends."""
    if report.payload.has_log:
        return StoredLog(report.job.id, after)
    return _KnownLog(job_events.find_rest(past_events(report), after))


def is_read_to_end(connection: Connection, report: JobReport, after: int) -> bool:
    """Return whether a reader who has the events up to `after` has the job's last event."""
    if after == 0 or report.job.state not in INACTIVE:
        return False
    return not open_log(report, after).page(connection)


def _was_queued_again(job: JobRow, last: JobAttemptRow) -> bool:
    """Return whether the job was queued again after its last attempt, and perhaps ended there."""
    if job.state is JobState.CANCELLED:
        return last.outcome is not AttemptOutcome.CANCELLED
    if job.state is JobState.EXPIRED:
        return last.ended_at != job.ended_at
    return job.state is JobState.QUEUED


def _started_event(attempt: JobAttemptRow) -> dict[str, Any]:
    return {
        "attempt": attempt.number,
        "provider": attempt.provider,
        "model": attempt.model,
        "queued_ms": attempt.queued_ms,
    }


def end_event(report: JobReport) -> dict[str, Any]:
    """Return the data of a job's last event, its answer included."""
    end: dict[str, Any] = {"job_id": report.job.id, "status": report.job.state}
    if report.generation is not None:
        end["generation_id"] = generation_id(report.job.id)
    if report.generation is not None and report.attempts:  # none: another job's call answered it
        end["queued_ms"] = report.attempts[-1].queued_ms
        end["attempt"] = report.attempts[-1].number
    if report.job.state is JobState.COMPLETED:
        end["completed_at"] = seconds(report.job.ended_at)
    if report.payload.response is not None:
        end["response"] = orjson.Fragment(report.payload.response)
    if report.job.error is not None:
        end["error"] = orjson.Fragment(report.job.error)
    return end


def find_answering_attempt(report: JobReport) -> int:
    """Return the number of the attempt that ended the job; 0 if another job's call answered it."""
    return report.attempts[-1].number if report.attempts else 0


def _retrying_event(attempt: JobAttemptRow) -> dict[str, Any]:
    return {
        "attempt": attempt.number,
        "outcome": attempt.outcome or AttemptOutcome.UNKNOWN.value,
        "error_type": attempt.error_type,
        "message": attempt.error_message,
    }


def _find_payloads(connection: Connection, job_ids: Collection[str]) -> dict[str, JobPayloadRow]:
    query = _SELECT_PAYLOADS.where(_payloads.c.job_id.in_(job_ids))
    rows = [JobPayloadRow(*row) for row in connection.execute(query)]
    return {row.job_id: row for row in rows}


def _find_attempts(
    connection: Connection, job_ids: Collection[str]
) -> dict[str, list[JobAttemptRow]]:
    """Return the attempts of each job in order; none for a job that has not run."""
    found: dict[str, list[JobAttemptRow]] = {job_id: [] for job_id in job_ids}
    for row in connection.execute(_SELECT_ATTEMPTS.where(_attempts.c.job_id.in_(job_ids))):
        attempt = JobAttemptRow(*row)
        found[attempt.job_id].append(attempt)
    return found


def _find_generations(connection: Connection, job_ids: Collection[str]) -> dict[str, GenerationRow]:
    query = _SELECT_GENERATIONS.where(_generations.c.job_id.in_(job_ids))
    rows = [GenerationRow(*row) for row in connection.execute(query)]
    return {row.job_id: row for row in rows}


def _queue_position(connection: Connection, row: JobRow) -> int | None:
    if row.state is not JobState.QUEUED:
        return None
    ahead = select(func.count()).where(
        _jobs.c.state == JobState.QUEUED.value,
        _jobs.c.provider == row.provider,
        _jobs.c.lane.in_({Lane.INTERACTIVE.value, row.lane}),
        _jobs.c.available_at < row.available_at,
    )
    return int(connection.execute(ahead).scalar_one())
