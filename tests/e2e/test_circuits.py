"""A provider that dies loses its traffic within seconds, and wins it back through half-open."""

import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.hooks import Receiver
from tests.installation import REPOSITORY, Installation, chat, clean_environment, free_ports, until

CHEAP = 'prompt = "0.01", completion = "0.01"'
DEAR = 'prompt = "10", completion = "10"'
(PORT,) = free_ports(1)
CONFIG = f"""
[[providers]]
slug = "fragile"
wire = "openai"
base_url = "http://127.0.0.1:{PORT}/v1"
api_key = "any"

[[providers]]
slug = "refusing"
wire = "openai"
base_url = "http://127.0.0.1:{PORT}/v1"
api_key = "any"

[[models]]
slug = "duo/model"
endpoints = [
  {{ provider = "fragile", model = "sim", {CHEAP} }},
  {{ provider = "spare", model = "sim", {DEAR} }},
]

[[models]]
slug = "refusing/model"
endpoints = [{{ provider = "refusing", model = "sim-401", {CHEAP} }}]
"""


class Fragile:
    """A simulated provider that can be killed and started again."""

    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "cli", "simulate", "--port", str(PORT)]
        self.process = subprocess.Popen(
            command, cwd=REPOSITORY, env=clean_environment(), stdout=subprocess.DEVNULL
        )
        until(self._answers, 30, "the second simulator does not start")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{PORT}/_calls").status_code == 200
        except httpx.HTTPError:
            return False


@pytest.fixture(scope="module")
def fragile() -> Iterator[Fragile]:
    provider = Fragile()
    provider.start()
    yield provider
    provider.kill()


@pytest.fixture(scope="module")
def place(fragile: Fragile) -> Iterator[Installation]:
    with Installation({"WAYBILL_ALLOWED_NETWORKS": "127.0.0.0/8"}, config=CONFIG) as installation:
        yield installation
        installation.await_idle()
        installation.audit()


def served_by(installation: Installation, model: str = "duo/model") -> str:
    answer = installation.http.post("/chat/completions", json=chat() | {"model": model})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["provider"])


def circuits(installation: Installation) -> dict[tuple[str, str | None], str]:
    told = httpx.get(f"{installation.root}/health").json()["providers"]
    return {(each["provider"], each["model"]): each["circuit"] for each in told}


def test_a_dead_provider_loses_its_traffic_and_wins_it_back(
    place: Installation, fragile: Fragile
) -> None:
    # Given a provider that serves
    assert {served_by(place) for _ in range(3)} == {"fragile"}
    # When it dies
    fragile.kill()
    died = time.monotonic()
    calls = 0
    while circuits(place).get(("fragile", "duo/model")) != "open":
        assert served_by(place) == "spare"  # nobody is failed meanwhile
        calls += 1
        assert time.monotonic() - died < 60, place.log()
    assert calls >= 3
    # Then nobody waits for it any more: no attempt is spent on it
    answer = place.http.post("/chat/completions", json=chat() | {"model": "duo/model"})
    tried = place.job(answer.headers["x-job-id"])["attempts"]
    assert tried[-1]["provider"] == "spare"
    assert all(each["outcome"] == "skipped" for each in tried[:-1])
    # And when it is back, its traffic is too
    fragile.start()
    until(lambda: served_by(place) == "fragile", 60, place.log)
    until(lambda: circuits(place) == {}, 10, place.log)
    until(lambda: {served_by(place) for _ in range(5)} == {"fragile"}, 10, place.log)


def test_a_clients_bad_requests_open_nothing(place: Installation) -> None:
    for _ in range(12):
        assert place.http.post("/chat/completions", json=chat("sim-400")).status_code == 400
    time.sleep(1.5)  # a look and a half: what would open is open by now
    assert circuits(place) == {}
    text = httpx.get(f"{place.root}/metrics").text
    assert 'waybill_attempts_total{model="sim/sim-400",provider="sim",verdict="excused"} 12' in text


def test_a_refused_credential_is_said_loudly(place: Installation, receiver: Receiver) -> None:
    endpoint = {"url": receiver.url("/disabled"), "events": ["provider.disabled"]}
    assert place.http.post("/webhooks/endpoints", json=endpoint).status_code == 201
    for _ in range(3):
        answer = place.http.post("/chat/completions", json=chat() | {"model": "refusing/model"})
        assert answer.status_code == 502
    [told] = receiver.await_posts("/disabled")
    assert told.event["data"]["provider"] == "refusing"
    until(lambda: circuits(place).get(("refusing", None)), 10, place.log)
    assert "provider.disabled" in place.log()
    listed = subprocess.run(
        [sys.executable, "-m", "cli", "providers", "list"],
        env=place.environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "disabled: it refuses the key" in listed.stdout
