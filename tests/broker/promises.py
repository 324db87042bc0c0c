"""Check the invariants of the database, which hold at any time."""

from collections import defaultdict
from dataclasses import dataclass

import orjson
from sqlalchemy import select

from broker.completion import AttemptOutcome
from broker.enums import JobState, OnUnknown
from broker.jobs import reports
from broker.jobs.states import TERMINAL, TRANSITIONS
from broker.storage.tables import Attempt, Generation, Job, JobPayload, LedgerEntry

TABLES = (Job, JobPayload, Attempt, Generation, LedgerEntry)


@dataclass(frozen=True)
class Picture:
    """Every row there is."""

    jobs: dict
    payloads: dict
    attempts: dict  # by job, in order
    generations: dict
    entries: list


def take_picture(database):
    rows = database.read_now(
        lambda connection: [connection.execute(select(t.__table__)).all() for t in TABLES]
    )
    jobs, payloads, attempts, generations, entries = rows
    by_job = defaultdict(list)
    for attempt in sorted(attempts, key=lambda row: row.number):
        by_job[attempt.job_id].append(attempt)
    return Picture(
        {row.id: row for row in jobs},
        {row.job_id: row for row in payloads},
        dict(by_job),
        {row.job_id: row for row in generations},
        sorted(entries, key=lambda row: row.id),
    )


def check_books(picture):
    """Every hold is there once, and goes back in exactly one way once its job has ended."""
    kinds = defaultdict(list)
    for entry in picture.entries:
        kinds[entry.job_id].append(entry.kind)
    for job_id, row in picture.jobs.items():
        is_charged = row.state == JobState.COMPLETED.value or row.ocr_nanos
        ended = ["settle"] if is_charged else ["release"]
        expected = ["hold", *ended] if row.state in TERMINAL else ["hold"]
        booked = [kind for kind in kinds[job_id] if kind != "extend"]
        assert sorted(booked) == sorted(expected), (row.state, kinds[job_id])


def expected_balance(picture, workspace_id):
    """Grants less costs less what is held for jobs that have not ended."""
    ours = {id_: row for id_, row in picture.jobs.items() if row.workspace_id == workspace_id}
    granted = sum(
        entry.amount_nanos
        for entry in picture.entries
        if entry.kind == "grant" and entry.workspace_id == workspace_id
    )
    held = sum(row.hold_nanos for row in ours.values() if row.state not in TERMINAL)
    spent = sum(row.cost_nanos for id_, row in picture.generations.items() if id_ in ours)
    return granted - held - spent


def check_limit(picture, workspace_id, nanos):
    """Nothing is admitted above a limit: only a call dearer than its own hold can pass it."""
    total = 0
    for job_id, row in picture.jobs.items():
        if row.workspace_id == workspace_id and job_id in picture.generations:
            total += min(picture.generations[job_id].cost_nanos, row.hold_nanos)
        elif row.workspace_id == workspace_id and row.state not in TERMINAL:
            total += row.hold_nanos
    assert total <= nanos


def check_holds(picture):
    """An open job holds what its endpoint may cost, wherever retries and fallbacks led it."""
    for job_id, row in picture.jobs.items():
        quotes = orjson.loads(picture.payloads[job_id].quotes or "[]")
        if row.state not in TERMINAL and quotes:
            assert row.hold_nanos >= quotes[row.position], (row, quotes)


def check_overshoot(picture, workspace_id, nanos):
    """Check that charges pass a limit only by the cost of single calls above their own holds."""
    ours = [row for row in picture.jobs.values() if row.workspace_id == workspace_id]
    made = [picture.generations[row.id] for row in ours if row.id in picture.generations]
    above = sum(max(row.cost_nanos - picture.jobs[row.job_id].hold_nanos, 0) for row in made)
    assert sum(row.cost_nanos for row in made) <= nanos + above


def check_attempts(picture, reopened):
    """Attempts are numbered without gaps; one is open, under a lease, where a job runs."""
    for job_id, row in picture.jobs.items():
        attempts = picture.attempts.get(job_id, [])
        running = row.state == JobState.RUNNING.value
        outcomes = [attempt.outcome for attempt in attempts]
        assert [attempt.number for attempt in attempts] == list(range(1, row.attempt + 1))
        assert [outcome is None for outcome in outcomes] == (
            [False] * (len(outcomes) - 1) + [running] if outcomes else []
        )
        assert (row.lease_owner is not None) is running
        assert (row.lease_expires_at is not None) is running
        paid = [o for o in outcomes if o != AttemptOutcome.INTERRUPTED.value]
        assert len(paid) <= row.max_attempts * (1 + reopened[job_id])
        if row.on_unknown != OnUnknown.RETRY.value and not reopened[job_id]:
            assert AttemptOutcome.UNKNOWN.value not in outcomes[:-1]


def check_answers(picture):
    """A completed job has one answer, from its last attempt; others may have paid for OCR only."""
    for job_id, row in picture.jobs.items():
        completed = row.state == JobState.COMPLETED.value
        outcomes = [attempt.outcome for attempt in picture.attempts.get(job_id, [])]
        assert (picture.payloads[job_id].response is not None) is completed
        charged = completed or (row.state in TERMINAL and row.ocr_nanos > 0)
        assert (job_id in picture.generations) is charged
        assert outcomes.count(AttemptOutcome.OK.value) == completed
        if completed:
            assert picture.generations[job_id].attempt == row.attempt


def check_readings(picture, read):
    """Check that OCR of a document is charged once, in every end of its job."""
    for job_id, row in picture.jobs.items():
        assert row.ocr_nanos == sum(read[job_id].values())
        if row.state in TERMINAL and row.ocr_nanos:
            cost = picture.generations[job_id].cost_nanos
            assert cost >= row.ocr_nanos
            assert cost == row.ocr_nanos or row.state == JobState.COMPLETED.value


def check_history(before, after):
    """Final states are final to the last column, and every other way is one of the table's."""
    for job_id, row in before.jobs.items():
        now = after.jobs[job_id]
        if row.state in TERMINAL:
            assert now == row
            assert after.payloads[job_id] == before.payloads[job_id]
        elif now.state != row.state:
            assert now.state in TRANSITIONS[JobState(row.state)]


def check_story(database, picture, told):
    """Check that published events keep their numbers: the log only grows at its end."""
    for job_id, row in picture.jobs.items():
        report = database.read_now(reports.job, row.workspace_id, job_id)
        past = reports.past_events(report)
        assert [event.number for event in past] == list(range(1, len(past) + 1))
        types = [event.type for event in past]
        # a review that ended in another try is told as `retrying` to later readers
        old = [
            "retrying" if type_ == "needs_review" and types[place : place + 1] == ["retrying"]
            else type_
            for place, type_ in enumerate(told[job_id])
        ]  # fmt: skip
        assert types[: len(old)] == old, (told[job_id], types)
        told[job_id] = types
