"""Refusals that waiting does not cure, pauses, and what callers are told of them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.cases.playback import Playback
from tests.e2e.scripted import Script, answer, refusal, tables
from tests.installation import REPOSITORY, Installation, until
from tests.stacks import any_stack

pytestmark = any_stack

PATIENCE = 4.0
TOO_LARGE = (
    "Request too large for m on tokens per min (TPM): Limit 30000, Requested 90000. Send less."
)
SCRIPTS = {
    "size": [refusal(429, TOO_LARGE, code="rate_limit_exceeded") | {"for": "BIG"}, answer()],
    "spent": [refusal(429, "You have reached your monthly spending limit.", retry_after="600")],
    "bucket": [
        refusal(
            429,
            "Rate limit reached.",
            retry_after="1",
            x_ratelimit_limit_tokens="30000",
            x_ratelimit_remaining_tokens="0",
            x_ratelimit_reset_tokens="6m0s",
        ),
        answer(),
    ],
    "empty": [
        answer(x_ratelimit_remaining_tokens="0", x_ratelimit_reset_tokens="6m0s"),
    ],
    "shut": [refusal(429, "Slow down.", retry_after="120")],
    "local": [
        refusal(500, "the request exceeds the available context size.") | {"for": "LONG"},
        refusal(501, "This server does not support tools.") | {"for": "TOOLS"},
        refusal(500, "image input is not supported") | {"for": "PICTURE"},
        answer(),
    ],
}


@pytest.fixture(scope="module")
def provider() -> Iterator[Playback]:
    playback = Playback()
    playback.recordings.update({slug: Script(list(each)) for slug, each in SCRIPTS.items()})
    yield playback
    playback.close()


@pytest.fixture(scope="module")
def waybill(provider: Playback) -> Iterator[Installation]:
    config = "".join(tables(slug, provider.port) for slug in SCRIPTS)
    with Installation(
        {"WAYBILL_SYNC_TIMEOUT_SECONDS": f"{PATIENCE:g}"}, config=config
    ) as installation:
        yield installation


def body(slug, text="Hello", **more):
    return {"model": f"t/{slug}", "messages": [{"role": "user", "content": text}], **more}


def queue(waybill, slug, text="Hello"):
    made = waybill.http.post("/jobs", json={"body": body(slug, text), "max_attempts": 5})
    assert made.status_code == 202, made.text
    return made.json()["id"]


def test_a_request_over_the_whole_limit_is_asked_once_and_pauses_nobody(waybill, provider):
    # Given six jobs that are larger than the whole minute of their endpoint
    with ThreadPoolExecutor(6) as pool:
        jobs = list(pool.map(lambda _: queue(waybill, "size", "BIG"), range(6)))
    # When somebody else asks a little
    began = time.monotonic()
    small = waybill.http.post("/chat/completions", json=body("size"))
    # Then it is answered at once
    assert small.status_code == 200, small.text
    assert time.monotonic() - began < 3
    # And the large ones have failed after a call each
    ended = [waybill.await_job(job_id) for job_id in jobs]
    assert [job["status"] for job in ended] == ["failed"] * 6
    assert {job["error"]["error_type"] for job in ended} == {"token_limit_exceeded"}
    assert {len(job["attempts"]) for job in ended} == {1}


def test_a_monthly_limit_is_no_rate_limit(waybill):
    job = waybill.await_job(queue(waybill, "spent"))
    assert job["status"] == "failed"
    assert [each["error_type"] for each in job["attempts"]] == ["payment_required"]
    assert _pauses(waybill, "spent") == []


def test_retry_after_wins_over_the_resets_of_the_same_answer(waybill, provider):
    """One 429 with `Retry-After: 1` and `reset-tokens: 6m` paused a model for five minutes."""
    began = time.monotonic()
    job = waybill.await_job(queue(waybill, "bucket"))
    assert job["status"] == "completed"
    assert time.monotonic() - began < 15
    assert len(provider.recordings["bucket"].requests) == 2


def test_an_empty_bucket_is_tried_again_soon(waybill):
    for _ in range(2):
        began = time.monotonic()
        assert waybill.await_job(queue(waybill, "empty"))["status"] == "completed"
        assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("text", "error_type"),
    [
        ("LONG", "context_length_exceeded"),
        ("TOOLS", "unprocessable"),
        ("PICTURE", "unprocessable"),
    ],
)
def test_what_a_local_server_cannot_do_is_asked_once(waybill, text, error_type):
    job = waybill.await_job(queue(waybill, "local", text))
    assert [each["error_type"] for each in job["attempts"]] == [error_type]


def test_a_pause_is_shown_with_its_reason_and_a_waiting_call_is_told_of_it(waybill):
    # Given an endpoint that asks for two minutes, and a model that nobody else serves
    began = time.monotonic()
    late = waybill.http.post("/chat/completions", json=body("shut"))
    # Then the call waits as long as the settings say
    assert time.monotonic() - began < PATIENCE + 3
    # And its error names the reason, the job, and when to come back
    assert late.status_code == 504
    error = late.json()["error"]
    assert "shut answered rate_limit_exceeded" in error["message"]
    assert error["metadata"]["job_id"] == late.headers["x-job-id"]
    assert 60 < int(late.headers["retry-after"]) <= 120
    # And the API, the metric and the command show the pause
    [pause] = until(lambda: _pauses(waybill, "shut"), 10, waybill.log)
    assert (pause["model"], pause["reason"]) == ("t/shut", "rate_limited")
    assert 60 < pause["until"] - time.time() <= 121
    endpoints = waybill.http.get("/models/t/shut/endpoints").json()["data"]["endpoints"]
    assert endpoints[0]["pause"]["reason"] == "rate_limited"
    told = waybill.http.get(f"{waybill.root}/metrics").text
    assert 'waybill_endpoint_pause_seconds{model="t/shut",provider="shut"' in told
    assert "t/shut paused for" in _command(waybill, "providers", "list")


def test_a_stream_that_cannot_begin_ends_like_a_plain_call(waybill):
    began = time.monotonic()
    late = waybill.http.post("/chat/completions", json=body("shut", stream=True))
    assert time.monotonic() - began < PATIENCE + 3
    assert late.status_code == 504, late.text
    assert late.headers["x-job-id"]
    assert int(late.headers["retry-after"]) > 1
    message = late.json()["error"]["message"]  # which one depends on whether it was just probed
    assert "shut, which limits the calls of t/shut" in message or "shut answered" in message


def _pauses(waybill, slug):
    providers = waybill.http.get("/providers").json()["data"]
    return next(each["pauses"] for each in providers if each["slug"] == slug)


def _command(waybill, *words):
    done = subprocess.run(
        [sys.executable, "-m", "cli", *words],
        env=os.environ | waybill.environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout
