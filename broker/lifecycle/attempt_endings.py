"""Record the end of an attempt (running → completed | failed | queued | …), and the decision."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from sqlalchemy import Connection, bindparam, select, update

from broker.billing import ledger
from broker.completion import AttemptOutcome, Failure
from broker.enums import JobState
from broker.jobs.states import INACTIVE, TERMINAL
from broker.lifecycle import retries
from broker.lifecycle.announcements import announce
from broker.lifecycle.claims import ClaimedJob
from broker.lifecycle.document_readings import ChargedJob, charge_ocr
from broker.lifecycle.ended_jobs import (
    END_VALUES,
    NO_LEASE,
    Ended,
    Ending,
    EndingJob,
    Failed,
    Finished,
    build_end_values,
    clean_row,
    clean_text,
    encode_failure,
    insert_generations,
)
from broker.lifecycle.retries import Decision, GiveUp, Retry
from broker.lifecycle.transitions import UNCLAIMED, apply, of_attempt, transition
from broker.queues import NATIVE_LANE, REDISPATCH_MS, choose_lane
from broker.storage import files
from broker.storage.frequent_statements import (
    FrequentQuery,
    FrequentUpdate,
    pipeline,
)
from broker.storage.tables import Attempt, Job, JobPayload, columns, table
from broker.storage.text_lists import among
from broker.usage import Consumption, CountedJob

_jobs = table(Job)
_payloads = table(JobPayload)
_attempts = table(Attempt)

FREE = frozenset({AttemptOutcome.INTERRUPTED, AttemptOutcome.SKIPPED})
"""Attempts that do not count against a job's max_attempts."""

LOST = frozenset({JobState.FAILED, JobState.EXPIRED})
"""Ends that usage counts as failures: those that the caller did not request."""

_NO_WAIT: dict[str, Any] = {"waiting_for": None, "waiting_since": None}


def decide(job: ClaimedJob, failure: Failure, now: int, *, shown: bool = False) -> Decision:
    """Return the decision after a failed attempt of this job (see `retries.decide`)."""
    situation = retries.Situation(
        plan=job.plan,
        position=job.position,
        attempts_used=job.attempts_used,
        tries_here=job.tries_here,
        max_attempts=job.max_attempts,
        seconds_left=(job.deadline_at - now) / 1000,
        on_unknown=job.on_unknown,
        shown=shown,
    )
    return retries.decide(failure, situation, chance=random.random())  # noqa: S311  # jitter


class RunningJob(EndingJob, CountedJob, ChargedJob, Protocol):
    """A row of `jobs` with an attempt whose end is to be recorded."""

    attempt: int
    cancel_requested: bool


_RUNNING = FrequentQuery[RunningJob](
    select(*columns(RunningJob, _jobs))
    .where(among(_jobs.c.id, "ids"), _jobs.c.state == JobState.RUNNING.value)
    .order_by(_jobs.c.id)
    .with_for_update()
)
_END_ATTEMPT = FrequentUpdate(
    update(_attempts)
    .where(_attempts.c.job_id == bindparam("of_job"), _attempts.c.number == bindparam("of_number"))
    .values(
        {
            name: bindparam(name)
            for name in (
                "ended_at",
                "outcome",
                "http_status",
                "error_type",
                "error_message",
                "first_token_ms",
                "duration_ms",
                "upstream_id",
            )
        }
    )
)
_END_JOB = {
    state: FrequentUpdate(of_attempt(transition(state, JobState.RUNNING)).values(END_VALUES))
    for state in INACTIVE
}
_REQUEUE_VALUES: dict[str, Any] = {
    name: bindparam(name)
    for name in (
        *("provider", "lane", "position", "attempts_used", "tries_here"),
        *("available_at", "dispatch_at"),
    )
}
_REQUEUE_JOB = {
    state: FrequentUpdate(
        of_attempt(transition(state, JobState.RUNNING)).values(
            _REQUEUE_VALUES | NO_LEASE | _NO_WAIT
        )
    )
    for state in UNCLAIMED
}
_STORE_ANSWER = FrequentUpdate(
    update(_payloads)
    .where(_payloads.c.job_id == bindparam("of_job"))
    .values(response=bindparam("response"), events=bindparam("events"))
)


def record_many(connection: Connection, endings: Sequence[Ending]) -> Sequence[Ending | None]:
    """Record the ends of attempts; None where the job has another attempt now.

    The results are what was stored: no retry of a job that its caller cancelled meanwhile. Answer,
    cost, settlement and state change of a job are in one transaction.
    """
    with pipeline(connection):
        recorded, rows = _match(connection, endings)
        current = [end for end in recorded if end is not None]
        finished = [end for end in current if isinstance(end, Finished)]
        _end_attempts(connection, current)
        _record_finished(connection, finished, rows)
        _record_failed(connection, [end for end in current if isinstance(end, Failed)], rows)
    files.add(connection, [row for end in finished for row in end.files])
    ends = [_build_end(end, rows[end.job.id]) for end in current]
    announce(connection, [end for end in ends if end is not None])
    return recorded


def _match(
    connection: Connection, endings: Sequence[Ending]
) -> tuple[list[Ending | None], dict[str, RunningJob]]:
    """Return what is to be recorded, in order, and the rows of its jobs by id."""
    found = _RUNNING.all(connection, {"ids": [ending.job.id for ending in endings]})
    running = {(row.id, row.attempt): row for row in found}
    recorded: list[Ending | None] = []
    rows: dict[str, RunningJob] = {}
    for ending in endings:
        row = running.pop((ending.job.id, ending.job.attempt), None)
        if row is None:
            recorded.append(None)
            continue
        recorded.append(_charge_ocr(_cancel_retry(ending) if row.cancel_requested else ending, row))
        rows[row.id] = row
    return recorded, rows


def _build_end(end: Ending, row: RunningJob) -> Ended | None:
    """Return a job's end with its addition to the usage; None for a retry."""
    if isinstance(end, Finished):
        consumed = Consumption.of(row, end.generation, end.now)
        return Ended(row, JobState.COMPLETED, end.now, consumed)
    if isinstance(end.decision, Retry):
        return None
    state, endpoint = end.decision.state, end.job.endpoint
    if end.generation is not None:
        return Ended(row, state, end.now, Consumption.of(row, end.generation, end.now))
    nothing = Consumption(row, endpoint.model, endpoint.provider, end.now, None)
    return Ended(row, state, end.now, nothing if state in LOST else None)


def _cancel_retry(ending: Ending) -> Ending:
    """End a job that its caller cancelled instead of retrying it."""
    if isinstance(ending, Failed) and isinstance(ending.decision, Retry):
        return replace(ending, decision=GiveUp(JobState.CANCELLED))
    return ending


def _charge_ocr(ending: Ending, row: RunningJob) -> Ending:
    """Add the cost of OCR to the generation of a job that ends."""
    if not row.ocr_nanos or not (isinstance(ending, Finished) or _is_last(ending.decision)):
        return ending
    return replace(ending, generation=charge_ocr(row, ending.generation, ending.now))


def _is_last(decision: Decision) -> bool:
    return isinstance(decision, GiveUp) and decision.state in TERMINAL


def _end_attempts(connection: Connection, endings: Sequence[Ending]) -> None:
    _END_ATTEMPT.run(
        connection,
        [
            {
                "of_job": ending.job.id,
                "of_number": ending.job.attempt,
                "ended_at": ending.now,
                "first_token_ms": ending.timings.first_token_ms,
                "duration_ms": ending.timings.duration_ms,
                **_build_attempt_end(ending),
            }
            for ending in endings
        ],
    )


def _build_attempt_end(ending: Ending) -> dict[str, Any]:
    if isinstance(ending, Finished):
        return {
            "outcome": AttemptOutcome.OK.value,
            "http_status": 200,
            "error_type": None,
            "error_message": None,
            "upstream_id": clean_row(ending.generation._asdict())["upstream_id"],
        }
    return {
        "outcome": ending.failure.outcome.value,
        "http_status": ending.failure.http_status,
        "error_type": ending.failure.error_type.value,
        "error_message": clean_text(ending.failure.message)[:2000],
        "upstream_id": ending.upstream_id and clean_text(ending.upstream_id)[:200],
    }


def _record_finished(
    connection: Connection, endings: Sequence[Finished], rows: Mapping[str, RunningJob]
) -> None:
    _end_jobs(connection, [(end, JobState.COMPLETED, None) for end in endings])
    insert_generations(connection, [end.generation for end in endings])
    _STORE_ANSWER.run(
        connection,
        [{"of_job": end.job.id, "response": end.response, "events": end.events} for end in endings],
    )
    settled = [
        ledger.settle(rows[end.job.id], cost_nanos=end.generation.cost_nanos, now=end.now)
        for end in endings
    ]
    ledger.append(connection, settled)


def _record_failed(
    connection: Connection, endings: Sequence[Failed], rows: Mapping[str, RunningJob]
) -> None:
    retried = [(end, end.decision) for end in endings if isinstance(end.decision, Retry)]
    for state, statement in _REQUEUE_JOB.items():
        here = [
            (end, retry) for end, retry in retried if _find_waiting_state(end.job.lane) is state
        ]
        apply(connection, statement, [_requeue(end, retry) for end, retry in here])
    stopped = [(end, end.decision.state) for end in endings if isinstance(end.decision, GiveUp)]
    _end_jobs(
        connection, [(end, state, encode_failure(end.job, end.failure)) for end, state in stopped]
    )
    logs = [
        {"of_job": end.job.id, "response": None, "events": end.events}
        for end, _ in stopped
        if end.events is not None
    ]
    _STORE_ANSWER.run(connection, logs)
    billed = [end.generation for end, _ in stopped if end.generation is not None]
    insert_generations(connection, billed)
    ledger.append(
        connection,
        [_build_release(end, rows[end.job.id]) for end, state in stopped if state in TERMINAL],
    )


def _build_release(end: Failed, row: RunningJob) -> ledger.NewEntry:
    """Return the ledger entry that ends the hold: a release, or the cost of the sent part."""
    if end.generation is None:
        return ledger.release(row, now=end.now)
    return ledger.settle(row, cost_nanos=end.generation.cost_nanos, now=end.now)


def _requeue(end: Failed, retry: Retry) -> dict[str, Any]:
    job = end.job
    free = end.failure.outcome in FREE
    available = end.now + int(retry.delay * 1000)
    tries = job.tries_here - free if retry.position == job.position else 0
    return {
        "of_job": job.id,
        "of_attempt": job.attempt,
        "provider": job.plan[retry.position].provider,
        "lane": choose_lane(job.lane),
        "position": retry.position,
        "attempts_used": _count_attempts_used(end) - free,
        "tries_here": tries,
        "available_at": available,
        "dispatch_at": _find_dispatch_time(end, available),
    }


def _count_attempts_used(end: Failed) -> int:
    """Return the attempts used; a billed unusable answer leaves one more attempt."""
    used = end.job.attempts_used
    return max(used, end.job.max_attempts - 1) if end.failure.answered else used


def _find_waiting_state(lane: str) -> JobState:
    """Return the state of a waiting job of this lane; a job of a native batch is not open."""
    return JobState.SCHEDULED if lane == NATIVE_LANE else JobState.QUEUED


def _find_dispatch_time(end: Failed, available: int) -> int:
    """Return when the dispatcher publishes a job that is queued again (Unix ms)."""
    if available > end.now:
        return available
    if end.announced:  # the worker publishes it; the dispatcher only if that is lost
        return end.now + REDISPATCH_MS
    return end.job.created_at  # at its next poll, by the job's age


def _end_jobs(connection: Connection, ends: Sequence[tuple[Ending, JobState, str | None]]) -> None:
    """End running jobs: each with its state and its error (JSON)."""
    by_state: dict[JobState, list[dict[str, Any]]] = defaultdict(list)
    for end, state, error in ends:
        values = build_end_values(end.job.id, state, end.now, error)
        by_state[state].append(values | {"of_attempt": end.job.attempt})
    for state, rows in by_state.items():
        apply(connection, _END_JOB[state], rows)
