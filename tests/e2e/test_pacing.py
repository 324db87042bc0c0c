"""Limits of providers in a whole Waybill with four worker processes."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.benchmarks.load import load
from tests.e2e.hooks import tenant_of
from tests.installation import KEY, Installation, chat, until

PER_MINUTE = 1_200
TWENTY = PER_MINUTE // 60  # a second
CONFIG = """
[[providers]]
slug = "{slug}"
wire = "openai"
base_url = "http://127.0.0.1:{port}/v1"
api_key = "any"
{limits}

[[models]]
slug = "{slug}/model"
endpoints = [{{ provider = "{slug}", model = "{model}", prompt = "0.15" }}]
"""
LIMITED = """
[[models]]
slug = "two/places"
endpoints = [
  { provider = "hot", model = "sim-429-retry1-tok3", prompt = "0.01" },
  { provider = "spare", model = "sim-tok3", prompt = "1" },
]
"""


class PacedInstallation(Installation):
    """An installation whose providers have limits and a simulated model each."""

    def __init__(self) -> None:
        super().__init__(workers=4)
        with self.config.open("a") as config:
            for slug, model, limits in (
                ("paced", "sim-tok1", f"requests_per_minute = {PER_MINUTE}\nmax_concurrency = 10"),
                ("rare", "sim-tok2", "requests_per_minute = 1"),
                ("hot", "sim-429-retry1-tok3", ""),
                ("narrow", "sim-lat100-tok4", "max_concurrency = 10"),
            ):
                config.write(
                    CONFIG.format(slug=slug, port=self.simulator_port, model=model, limits=limits)
                )
            config.write(LIMITED)

    def call(self, model: str, **more: object) -> httpx.Response:
        return self.http.post("/chat/completions", json=chat() | {"model": model, **more})

    def queue(self, model: str, **wish: object) -> str:
        answer = self.http.post("/jobs", json={"body": chat() | {"model": model}, **wish})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def queue_many(self, count: int, model: str, **wish: object) -> list[str]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda _: self.queue(model, **wish), range(count)))

    def seen(self, model: str) -> int:
        return int(self.calls()["by_model"].get(model, 0))


@pytest.fixture(scope="module")
def paced() -> Iterator[PacedInstallation]:
    with PacedInstallation() as installation:
        yield installation


def test_four_workers_keep_the_rate_and_use_it(paced: PacedInstallation) -> None:
    """Calls over the limit wait, for any number of processes."""
    # Given more batch jobs than a provider takes in ten seconds
    paced.queue_many(14 * TWENTY, "paced/model", lane="batch", not_before=time.time() + 8)
    until(lambda: paced.seen("sim-tok1") > 0, 20, paced.log)
    # When the calls are counted that it gets in ten seconds
    began, before = time.monotonic(), paced.seen("sim-tok1")
    time.sleep(10)
    calls, seconds = paced.seen("sim-tok1") - before, time.monotonic() - began
    # Then it gets what it takes, and no more
    assert 0.9 * TWENTY * seconds <= calls <= 1.05 * TWENTY * seconds + TWENTY


def test_a_job_over_the_limit_waits_unclaimed_and_says_what_for(paced: PacedInstallation) -> None:
    """Backpressure has a name and a time."""
    answer = paced.call("rare/model")
    assert answer.status_code == 200
    assert int(answer.headers["x-queue-ms"]) >= 0
    job_id = paced.queue("rare/model")

    def waiting() -> dict[str, object] | None:
        job = paced.job(job_id)
        return job if "waiting_for" in job else None

    job = until(waiting, 10, paced.log)
    assert (job["status"], job["attempts"]) == ("queued", [])
    assert job["waiting_for"]["reason"] == "rate_limit"  # type: ignore[index]
    assert 0 < job["waiting_for"]["until"] - time.time() <= 62  # type: ignore[index]
    assert paced.http.post(f"/jobs/{job_id}/cancel").json()["status"] == "cancelled"


def test_an_expired_job_says_what_it_had_been_waiting_for(paced: PacedInstallation) -> None:
    paced.call("rare/model", models=["spare/sim-echo"])  # the minute is used up
    job = paced.await_job(paced.queue("rare/model", deadline=time.time() + 2))
    assert job["status"] == "expired"
    assert "waited for rare (rate limit)" in job["error"]["message"]


def test_a_full_provider_is_passed_over_while_a_fallback_is_free(paced: PacedInstallation) -> None:
    answers = [paced.call("rare/model", models=["spare/sim-echo"]) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert {answer.json()["provider"] for answer in answers[1:]} == {"spare"}


def test_no_429_reaches_a_caller_while_a_fallback_serves(paced: PacedInstallation) -> None:
    """The pause of one provider blocks no fallback, and is kept by all processes."""
    # Given a primary that answers nothing but 429, and a fallback
    url = f"{paced.url}/chat/completions"
    body = chat() | {"model": "two/places"}
    began = time.monotonic()
    # When 500 calls are made
    result = asyncio.run(load(url, KEY, body, callers=32, calls=500))
    seconds = time.monotonic() - began
    # Then all are answered
    assert result.failures == 0, paced.log()
    assert paced.seen("sim-tok3") == 500
    # And the primary was asked by the first crowds, and then by a call a second from each process
    assert 0 < paced.seen("sim-429-retry1-tok3") <= 2 * 32 + 4 * (seconds + 1)


def test_interactive_calls_do_not_wait_for_a_batch(paced: PacedInstallation) -> None:
    """Interactive before batch."""
    # Given a provider of ten slots of 100 ms, and three seconds of batch jobs before it
    paced.queue_many(300, "narrow/model", lane="batch")
    # When calls come meanwhile
    waits = [int(paced.call("narrow/model").headers["x-queue-ms"]) for _ in range(8)]
    # Then they hardly wait
    assert sorted(waits)[4] < 250, waits


def test_another_workspaces_short_batch_is_done_long_before_a_long_one(
    paced: PacedInstallation,
) -> None:
    with tenant_of(paced, f"short {uuid.uuid4().hex[:6]}") as other:
        mine = paced.queue_many(300, "narrow/model", lane="batch")
        theirs = [
            other.http.post(
                "/jobs", json={"body": chat() | {"model": "narrow/model"}, "lane": "batch"}
            ).json()["id"]
            for _ in range(20)
        ]
        until(lambda: None not in _ends(other.http, theirs), 30, paced.log)
        done = max(_ends(other.http, theirs))
        assert sum(end is not None and end <= done for end in _ends(paced.http, mine[-100:])) < 50


def _ends(http: httpx.Client, job_ids: list[str]) -> list[Any]:
    """When each of these jobs ended; None where it has not."""
    return [http.get(f"/jobs/{job_id}").json()["ended_at"] for job_id in job_ids]


def test_priority_orders_jobs_and_is_no_providers_business(paced: PacedInstallation) -> None:
    """Elsewhere `priority` was sent on as an unknown parameter (litellm#7144)."""
    job_id = paced.queue("spare/sim-echo", priority=7)
    assert paced.await_job(job_id)["priority"] == 7
    assert paced.calls('"priority"')["matching"] == 0
