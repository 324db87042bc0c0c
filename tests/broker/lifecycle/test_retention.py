"""A job keeps what the strictest policy allows; usage and ledger stay."""

import orjson
import pytest
from sqlalchemy import insert, select, update

from broker.enums import JobState
from broker.jobs import privacy
from broker.lifecycle import retention
from broker.lifecycle.retention import AnswerFetch
from broker.lifecycle.retries import GiveUp
from broker.storage.tables import Batch, Delivery, Job, JobPayload, StoredFile
from tests.factories import (
    NOW,
    balance,
    entries,
    failed,
    finished,
    generations,
    job_row,
    make_new_job,
    make_principal,
    record,
    run,
    submit,
    submit_and_claim,
    write,
)

DAY = privacy.DAY_MS
MINUTE = 60_000


def bodies(database, job_id):
    query = select(JobPayload.__table__).filter_by(job_id=job_id)
    row = database.read_now(lambda c: c.execute(query).one())
    return bool(row.request), row.response is not None, row.events is not None


def done(database, caller, *, now=NOW, **wish):
    job = submit_and_claim(database, caller, now=now, **wish)
    record(database, finished(job, now=now, events=b"log"))
    return job


def tidy(database, now=NOW):
    return write(database, retention.delete_unkept, now, now - MINUTE)


def retire(database, caller, before, now=NOW):
    return write(database, retention.delete_old, caller.workspace_id, before, now)


def deliver(database, job, *, state="delivered", full=True):
    document = {"id": job.id, "object": "job", "status": "completed", "response": {"secret": 1}}
    payload = orjson.dumps({"type": "job.completed", "timestamp": "t", "data": document})
    row = {
        "id": f"dlv_{job.id}", "event_id": "evt_1", "workspace_id": job.workspace_id,
        "receiver": "r", "event_type": "job.completed", "subject_id": job.id, "payload": payload,
        "is_full": full, "state": state, "attempt": 1, "failures": 0, "next_at": NOW,
        "dispatch_at": NOW, "created_at": NOW,
    }  # fmt: skip
    with database.transaction() as connection:
        connection.execute(insert(Delivery.__table__).values(row))


def sent(database, job):
    query = select(Delivery.__table__.c.payload).filter_by(subject_id=job.id)
    return orjson.loads(database.read_now(lambda c: c.execute(query).scalar_one()))


@pytest.mark.parametrize(
    ("body", "wish", "workspace", "default", "kept"),
    [
        ({}, None, {}, "full", None),
        ({}, None, {}, "none", "none"),
        ({}, None, {"store": "full"}, "none", None),
        ({}, "none", {"store": "result_only"}, "full", "none"),
        ({}, "full", {"store": "result_only"}, "full", "result_only"),
        ({"store": False}, None, {}, "full", "result_only"),
        ({"store": False}, "none", {}, "full", "none"),
        ({"store": True}, None, {}, "full", None),
        ({}, None, {"store": "nonsense"}, "full", None),
    ],
)
def test_the_strictest_wish_counts(body, wish, workspace, default, kept):
    assert privacy.choose_store(body, wish, workspace, default) == kept


@pytest.mark.parametrize(
    ("workspace", "days", "before"),
    [
        ({}, 0, None),
        ({}, 7, NOW - 7 * DAY),
        ({"retention_days": 2}, 7, NOW - 2 * DAY),
        ({"forget_before": NOW - 5}, 0, NOW - 5),
        ({"forget_before": NOW - 9 * DAY, "retention_days": 2}, 0, NOW - 2 * DAY),
    ],
)
def test_until_when_jobs_are_forgotten(workspace, days, before):
    assert privacy.find_deletion_time(workspace, days, NOW) == before


def test_result_only_keeps_the_answer_without_the_prompt(database, caller):
    job = done(database, caller, store="result_only")
    plain = done(database, caller)
    assert bodies(database, job.id) == (True, True, True)
    assert tidy(database) == []
    assert bodies(database, job.id) == (False, True, True)
    assert bodies(database, plain.id) == (True, True, True)
    tidy(database, NOW + 30 * DAY)
    assert bodies(database, job.id) == (False, True, True)


def test_a_job_that_is_not_final_keeps_its_prompt(database, caller):
    waiting = submit(database, caller, store="none")
    review = submit_and_claim(database, caller, store="none")
    record(database, failed(review, decision=GiveUp(JobState.NEEDS_REVIEW)))
    assert job_row(database, review.id).state == "needs_review"
    assert tidy(database, NOW + 30 * DAY) == []
    assert bodies(database, waiting)[0]
    assert bodies(database, review.id)[0]


def test_none_keeps_the_answer_until_it_is_fetched_and_usage_for_good(database):
    caller = make_principal(database, credit=5_000)
    job = done(database, caller, store="none")
    assert tidy(database) == []
    assert bodies(database, job.id) == (False, True, True)
    before = balance(database, caller.workspace_id), entries(database, job.id)
    for later in (0, MINUTE - 1):  # the connection broke, and the caller came back
        fetch = AnswerFetch(job.id, NOW + later)
        assert run(database, retention.record_fetches, fetch) == [True]
        assert tidy(database, NOW + later) == []
        assert bodies(database, job.id) == (False, True, True)
    assert tidy(database, NOW + MINUTE) == [job.id]
    assert bodies(database, job.id) == (False, False, False)
    assert job_row(database, job.id).kept == "nothing"
    assert (balance(database, caller.workspace_id), entries(database, job.id)) == before
    assert generations(database, job.id)[0].cost_nanos == 300


def test_fetching_takes_nothing_from_a_job_that_is_kept(database, caller):
    plain, partly = done(database, caller), done(database, caller, store="result_only")
    running = submit_and_claim(database, caller, store="none")
    fetches = [AnswerFetch(each.id, NOW) for each in (plain, partly, running)]
    assert run(database, retention.record_fetches, *fetches) == [False, False, False]
    assert bodies(database, plain.id) == (True, True, True)
    assert bodies(database, running.id)[0]


def test_none_that_nobody_fetches_goes_after_a_day(database, caller):
    job = done(database, caller, store="none")
    assert tidy(database, NOW + DAY - 1) == []
    assert tidy(database, NOW + DAY) == [job.id]
    assert bodies(database, job.id) == (False, False, False)


def test_a_thin_delivery_that_nobody_takes_keeps_nothing(database, caller):
    job = done(database, caller, store="none")
    deliver(database, job, state="pending", full=False)
    assert tidy(database, NOW + DAY) == [job.id]


def test_a_full_delivery_is_a_fetch_once_it_has_arrived(database, caller):
    pending, arrived, thin = (done(database, caller, store="none") for _ in range(3))
    deliver(database, pending, state="pending")
    deliver(database, arrived)
    deliver(database, thin, full=False)
    assert tidy(database) == [arrived.id]
    assert sent(database, arrived)["data"] == {
        "id": arrived.id, "object": "job", "status": "completed",
    }  # fmt: skip
    # what is on its way keeps its answer, also when somebody fetches it meanwhile
    run(database, retention.record_fetches, AnswerFetch(pending.id, NOW - MINUTE))
    assert tidy(database) == []
    assert "response" in sent(database, pending)["data"]
    with database.transaction() as connection:
        connection.execute(
            update(Delivery.__table__).filter_by(subject_id=pending.id).values(state="exhausted")
        )
    assert tidy(database) == [pending.id]
    assert "response" not in sent(database, pending)["data"]


def test_a_batchs_lines_wait_for_its_files(database, caller):
    batch = {
        "id": "batch_1", "workspace_id": caller.workspace_id, "api_key_id": caller.api_key_id,
        "state": "in_progress", "endpoint": "/v1/chat/completions", "input_file_id": "file_in",
        "completion_window": "24h", "options": "{}", "created_at": NOW, "expires_at": NOW + DAY,
        "cursor": 0, "lines_read": 1, "lines_total": 1, "inline": False, "priority": 0,
    }  # fmt: skip
    file = {"id": "file_in", "workspace_id": caller.workspace_id, "purpose": "batch",
            "media_type": "application/jsonl", "bytes": 1, "created_at": NOW}  # fmt: skip
    with database.transaction() as connection:
        connection.execute(insert(StoredFile.__table__).values(file))
        connection.execute(insert(Batch.__table__).values(batch))
    job = done(database, caller, store="none", batch_id="batch_1")
    assert run(database, retention.record_fetches, AnswerFetch(job.id, NOW)) == [False]
    assert tidy(database) == []
    assert bodies(database, job.id)[1]
    with database.transaction() as connection:
        connection.execute(update(Batch.__table__).values(ended_at=NOW))
    assert tidy(database) == [job.id]
    query = select(StoredFile.__table__.c.expires_at)
    assert database.read_now(lambda c: c.execute(query).scalar_one()) == NOW + DAY


def test_retention_forgets_what_ended_long_ago_and_nothing_else(database, caller):
    old = done(database, caller, now=NOW - 9 * DAY)
    deliver(database, old)
    young = done(database, caller)
    waiting = submit(database, caller, now=NOW - 9 * DAY)
    stranger = make_principal(database, name="other")
    theirs = done(database, stranger, now=NOW - 9 * DAY)
    assert retire(database, caller, NOW - DAY) is False
    assert bodies(database, old.id) == (False, False, False)
    assert "response" not in sent(database, old)["data"]
    for kept in (young.id, theirs.id):
        assert bodies(database, kept) == (True, True, True)
    assert bodies(database, waiting)[0]
    assert generations(database, old.id)


def test_a_large_past_is_forgotten_in_small_pieces(database, caller, monkeypatch):
    monkeypatch.setattr(retention, "GROUP", 2)
    jobs = [done(database, caller, now=NOW - 9 * DAY) for _ in range(5)]
    assert retire(database, caller, NOW - DAY)
    assert sum(bodies(database, job.id)[1] for job in jobs) == 3
    while retire(database, caller, NOW - DAY):
        pass
    assert not any(bodies(database, job.id)[1] for job in jobs)


def test_an_earlier_answer_to_the_same_key_needs_no_same_wish_of_privacy(database, caller):
    keyed = {"idempotency_key": "k"}
    first = submit(database, caller, **keyed)
    again = submit(database, caller, store="none", **keyed)
    assert again == first
    assert make_new_job(caller, store="none").row["store"] == "none"
    query = select(Job.__table__.c.store).filter_by(id=first)
    assert database.read_now(lambda c: c.execute(query).scalar_one()) is None
