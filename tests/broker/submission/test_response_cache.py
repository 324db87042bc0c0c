"""An earlier answer given again is a job like all others, and costs nothing."""

from dataclasses import replace

import orjson

from broker.events import stored_logs
from broker.events.job_events import Event
from broker.ids import generation_id
from broker.jobs import reports
from broker.submission.response_cache import CachedAnswer, replay_many
from tests.factories import (
    NOW,
    balance,
    finished,
    make_new_job,
    make_principal,
    record,
    run,
    submit_and_claim,
)

USAGE = {"prompt_tokens": 7, "cost": 0.3, "is_byok": False, "details": {"cached_tokens": 2}}


def answered(database, caller, *, stream=False):
    """A completed job's report."""
    job = submit_and_claim(database, caller, body={"stream": stream})
    body = {"id": generation_id(job.id), "created": 1, "choices": ["hello"], "usage": USAGE}
    said = [("chunk", orjson.dumps(body)), ("usage", orjson.dumps(body))]
    told = [("started", b"{}"), *said, ("completed", b"{}")]
    log = stored_logs.pack([Event(number, *each) for number, each in enumerate(told, 1)])
    ending = finished(job, events=log if stream else None)
    record(database, replace(ending, response=orjson.dumps(body)))
    return database.read_now(reports.job, caller.workspace_id, job.id)


def again(database, caller, earlier, *, stream=False):
    job = make_new_job(caller, body={"stream": stream}, now=NOW + 10)
    [submitted] = run(database, replay_many, CachedAnswer(job, earlier, NOW + 10))
    assert submitted.job_id == job.id
    return database.read_now(reports.job, caller.workspace_id, job.id)


def test_a_hit_is_a_completed_job_with_an_id_of_its_own_and_zero_usage(database):
    caller = make_principal(database, credit=10_000)
    earlier = answered(database, caller)
    before = balance(database, caller.workspace_id)
    found = again(database, caller, earlier)
    told = orjson.loads(found.payload.response)
    assert told["id"] == generation_id(found.job.id) != generation_id(earlier.job.id)
    assert told["choices"] == ["hello"]
    assert told["usage"] == {
        "prompt_tokens": 0,
        "cost": 0,
        "is_byok": False,
        "details": {"cached_tokens": 0},
    }
    assert (found.job.state, found.job.hold_nanos) == ("completed", 0)
    assert (found.generation.cost_nanos, found.generation.output_tokens) == (0, None)
    assert balance(database, caller.workspace_id) == before


def test_a_stream_is_told_again_from_its_stored_events(database, caller):
    earlier = answered(database, caller, stream=True)
    found = again(database, caller, earlier, stream=True)
    told = database.read_now(reports.open_log(found).page)
    assert [(event.number, event.type) for event in told] == [
        (1, "chunk"),
        (2, "usage"),
        (3, "completed"),
    ]
    chunk = orjson.loads(told[0].data)
    assert chunk["id"] == generation_id(found.job.id)
    assert chunk["usage"]["prompt_tokens"] == 0
    assert orjson.loads(told[2].data)["job_id"] == found.job.id
