import orjson
import pytest
from sqlalchemy import event as sqlalchemy_event

from broker import webhooks
from broker.completion import AttemptOutcome, ErrorType
from broker.enums import OnUnknown
from broker.jobs import reports
from broker.jobs.views import job as job_view
from broker.lifecycle import expire, record_many, rescue
from broker.webhooks import PayloadKind, Scheme
from tests.broker.webhooks.factories import (
    URL,
    claim,
    deliveries,
    delivery,
    end,
    endpoint_row,
    make_endpoint,
    payload,
    tell,
)
from tests.broker.webhooks.factories import (
    record as record_delivery,
)
from tests.factories import (
    NOW,
    cancel,
    claim_one,
    failed,
    failure,
    finished,
    make_principal,
    record,
    run,
    submit,
    submit_and_claim,
    write,
)

UNKNOWN = failure(AttemptOutcome.UNKNOWN, ErrorType.TIMEOUT)


def complete(database, caller, **wish):
    job = submit_and_claim(database, caller, **wish)
    record(database, finished(job))
    return job.id


def test_a_batchs_lines_are_told_to_those_only_that_ask_for_jobs(database, caller):
    # Given an endpoint without a filter, one that asks for jobs, and one for batches
    _, asking, _ = (
        make_endpoint(database, caller.workspace_id, events=events)
        for events in ([], ["job.*"], ["batch.*"])
    )
    # When lines of a batch end, by an answer and by a cancellation
    own = webhooks.build_job_webhook(URL, ["job.completed"])
    done = complete(database, caller, batch_id="batch_1")
    asked = complete(database, caller, batch_id="batch_2", webhook=own)
    gone = submit(database, caller, batch_id="batch_1")
    cancel(database, gone, caller.workspace_id)
    # Then who never said "job" is spared thousands of events
    told = {(row.endpoint_id, row.subject_id) for row in deliveries(database)}
    assert told == {
        (asking.id, done),
        (asking.id, asked),
        (None, asked),
        (asking.id, gone),
    }


def give_up(database, caller):
    job = submit_and_claim(database, caller, max_attempts=1)
    record(database, failed(job))
    return job.id


def call_off(database, caller):
    job_id = submit(database, caller)
    cancel(database, job_id, caller.workspace_id)
    return job_id


def call_off_running(database, caller):
    job = submit_and_claim(database, caller)
    cancel(database, job.id, caller.workspace_id)
    record(database, failed(job, why=failure(AttemptOutcome.CANCELLED, ErrorType.UNMAPPED)))
    return job.id


def run_out(database, caller):
    job_id = submit(database, caller, deadline=NOW + 10)
    write(database, expire, NOW + 20_000)
    return job_id


def fall_silent(database, caller):
    job = submit_and_claim(database, caller, on_unknown=OnUnknown.HOLD)
    record(database, failed(job, why=UNKNOWN))
    return job.id


def lose_the_worker(database, caller):
    job = submit_and_claim(database, caller, on_unknown=OnUnknown.FAIL)
    write(database, rescue, NOW + 100_000)
    return job.id


@pytest.mark.parametrize(
    ("ends", "type_"),
    [
        (complete, "job.completed"),
        (give_up, "job.failed"),
        (call_off, "job.cancelled"),
        (call_off_running, "job.cancelled"),
        (run_out, "job.expired"),
        (fall_silent, "job.needs_review"),
        (lose_the_worker, "job.failed"),
    ],
)
def test_however_a_job_ends_its_delivery_is_there(database, caller, ends, type_):
    endpoint = make_endpoint(database, caller.workspace_id)
    job_id = ends(database, caller)
    row = delivery(database)
    assert (row.event_type, row.subject_id, row.endpoint_id) == (type_, job_id, endpoint.id)
    assert (row.state, row.attempt, row.url) == ("pending", 0, None)
    assert row.event_id.startswith("evt_")
    assert "." not in row.event_id
    sent = payload(row)
    assert set(sent) == {"type", "timestamp", "data"}
    assert sent["data"] == {"id": job_id, "object": "job", "status": type_.partition(".")[2]}


def test_a_job_that_is_tried_again_has_not_ended(database, caller):
    make_endpoint(database, caller.workspace_id)
    job = submit_and_claim(database, caller)
    record(database, failed(job))
    assert deliveries(database) == []


def test_a_job_that_ends_after_its_review_is_told_twice(database, caller):
    make_endpoint(database, caller.workspace_id)
    job_id = fall_silent(database, caller)
    cancel(database, job_id, caller.workspace_id)
    assert [row.event_type for row in deliveries(database)] == ["job.needs_review", "job.cancelled"]


def test_no_delivery_without_its_ending(database, caller):
    """One transaction: what takes the ending back takes the delivery with it."""
    make_endpoint(database, caller.workspace_id)
    job = submit_and_claim(database, caller)

    def record_and_fail(connection, endings):
        record_many(connection, endings)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(database, record_and_fail, finished(job))
    assert deliveries(database) == []
    assert claim_one(database, job.id) is None


def test_a_jobs_own_webhook_is_told_besides_the_endpoints(database, caller):
    make_endpoint(database, caller.workspace_id)
    complete(database, caller, webhook=webhooks.build_job_webhook("https://me.example:8443/x"))
    by_endpoint, own = sorted(deliveries(database), key=lambda row: row.url or "")
    assert own.url == "https://me.example:8443/x"
    assert own.endpoint_id is None
    assert own.receiver == f"{caller.workspace_id} me.example:8443"
    assert own.event_id == by_endpoint.event_id
    assert own.id != by_endpoint.id


@pytest.mark.parametrize(
    ("events", "hears"),
    [
        ([], True),
        (["job.completed"], True),
        (["job.*"], True),
        (["job.failed", "batch.completed"], False),
        (["batch.*"], False),
    ],
)
def test_filters_of_endpoints_and_of_jobs(database, caller, events, hears):
    make_endpoint(database, caller.workspace_id, events=events)
    complete(database, caller, webhook=webhooks.build_job_webhook(URL, events))
    assert len(deliveries(database)) == 2 * hears


def test_other_workspaces_hear_nothing(database, caller):
    make_endpoint(database, make_principal(database).workspace_id)
    complete(database, caller)
    assert deliveries(database) == []


def test_full_payloads_are_the_job_as_it_is_shown(database, caller):
    make_endpoint(database, caller.workspace_id, payload=PayloadKind.FULL)
    make_endpoint(database, caller.workspace_id)
    job_id = complete(database, caller)
    shown = job_view(database.read_now(reports.job, caller.workspace_id, job_id))
    data = [payload(row)["data"] for row in deliveries(database)]
    full, thin = sorted(data, key=len, reverse=True)
    assert full == orjson.loads(orjson.dumps(shown))
    assert full["response"] == {"answer": 1}
    assert full["attempts"][0]["outcome"] == "ok"
    assert full["usage"]["cost"] > 0
    assert set(thin) == {"id", "object", "status"}


def test_openrouters_envelope(database, caller):
    make_endpoint(database, caller.workspace_id, scheme=Scheme.OPENROUTER)
    tell(database, caller.workspace_id)
    assert payload(delivery(database)) == {
        "type": "batch.completed",
        "created_at": NOW // 1000,
        "data": {"id": "batch_1"},
    }


def test_what_a_disabled_endpoint_misses_is_kept_for_a_replay(database, caller):
    endpoint = make_endpoint(database, caller.workspace_id)
    change = webhooks.EndpointChange(caller.workspace_id, endpoint.id, NOW, {"disabled": True})
    write(database, webhooks.update_endpoint, change)
    complete(database, caller)
    assert delivery(database).state == "cancelled"


def test_nobody_is_told_of_their_own_end(database, caller):
    gone = make_endpoint(database, caller.workspace_id)
    other = make_endpoint(database, caller.workspace_id)
    tell(database, caller.workspace_id)
    told = claim(database, delivery(database, endpoint_id=gone.id).id)
    record_delivery(database, end(told, 410))
    assert endpoint_row(database, gone.id).disabled
    assert not endpoint_row(database, other.id).disabled
    news = delivery(database, event_type="endpoint.disabled")
    assert news.endpoint_id == other.id
    assert payload(news)["data"]["id"] == gone.id
    assert "410" in payload(news)["data"]["reason"]


def test_a_workspace_without_receivers_costs_one_small_question(database, caller, frequent):
    jobs = [submit_and_claim(database, caller) for _ in range(20)]
    others = []
    sqlalchemy_event.listen(
        database.engine, "before_cursor_execute", lambda *a: others.append(a[2])
    )
    frequent.clear()
    record(database, *[finished(job) for job in jobs])
    asked = [sql for sql, _ in frequent] + others
    about_webhooks = [s for s in asked if "webhook_endpoints" in s or "deliveries" in s]
    assert len(about_webhooks) == 1
    assert deliveries(database) == []
