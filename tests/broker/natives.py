"""Jobs of the native lane, and batches of them, without any provider."""

from dataclasses import replace
from unittest import mock

from broker import native_batches, submission
from broker.native_batches import Collect
from tests.factories import HOLD, NOW, SETTINGS, make_endpoint, run, write

WAIT = 30_000


def make_native(database, principal, *, model="acme/small", native=None, now=NOW, **wish):
    """Submit a job of the native lane; return its id."""
    endpoint = replace(
        make_endpoint("alpha", model, request=HOLD), batched=True, native=native or model
    )
    body = {"messages": [{"role": "user", "content": "hi"}], "model": model}
    body["service_tier"] = "batch"
    with mock.patch("broker.submission.preparation.now_ms", return_value=now):
        wanted = submission.JobOptions(**wish)
        job = submission.prepare(body, wanted, principal, {model: [endpoint]}, SETTINGS)
    [submitted] = run(database, submission.submit_many, job)
    return submitted.job_id


def collect(database, *, now=NOW + WAIT, **limits):
    look = Collect(now, WAIT, **{"max_lines": 100, "max_bytes": 10**6, "reserve_ms": 0} | limits)
    return write(database, native_batches.collect_jobs, look)


def held(database, batch_id):
    return [each.job for each in database.read_now(native_batches.open_jobs, batch_id)]
