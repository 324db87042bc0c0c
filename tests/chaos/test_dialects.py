"""kill -9 of API and worker in the middle of a response."""

import shutil
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.installation import KEY, Installation, until
from workers.simulator.replies import STORY

pytestmark = pytest.mark.chaos

SLOW = {"model": "sim/sim-tok60-chunk50", "input": "Hi", "background": True, "stream": True}
APART = """
[[providers]]
slug = "apart"
wire = "openai"
base_url = "http://127.0.0.1:{port}/v1"
api_key = "any"
quirks = ["background"]
options = {{ background = true }}
[[models]]
slug = "apart/story"
[[models.endpoints]]
provider = "apart"
model = "sim-story-chunk100"
interface = "responses"
prompt = "1"
completion = "2"
"""
"""A provider that answers in the background."""


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    made = Installation(
        {
            "WAYBILL_LEASE_SECONDS": "3",
            "WAYBILL_HEARTBEAT_SECONDS": "1",
            "WAYBILL_SOFT_SHUTDOWN_SECONDS": "1",
        }
    )
    made.config.write_text(made.config.read_text() + APART.format(port=made.simulator_port))
    with made as running:
        yield running
        running.await_idle()
        running.audit()


@pytest.fixture
def client(installation: Installation) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=installation.url, api_key=KEY, max_retries=5) as client:
        yield client


def read_until_text(events: Iterator[Any], count: int) -> list[Any]:
    """Read until some deltas of text have come."""
    seen: list[Any] = []
    for event in events:
        seen.append(event)
        if [each.type for each in seen].count("response.output_text.delta") == count:
            return seen
    raise AssertionError(seen)


def join_text(events: list[Any]) -> str:
    return "".join(each.delta for each in events if each.type == "response.output_text.delta")


def test_a_background_stream_outlives_the_api(
    installation: Installation, client: openai.OpenAI
) -> None:
    seen = read_until_text(iter(client.responses.create(**SLOW)), 5)
    api = installation.child("api").pid
    installation.kill("api")
    until(lambda: installation.await_child("api").pid != api, 20, "not started again")
    installation.await_ready()
    last = seen[-1].sequence_number
    rest = list(client.responses.retrieve(seen[0].response.id, stream=True, starting_after=last))
    events = [*seen, *rest]
    assert [each.sequence_number for each in events] == list(range(len(events)))
    assert join_text(events) == rest[-1].response.output_text


def test_a_background_stream_outlives_its_worker(
    installation: Installation, client: openai.OpenAI
) -> None:
    stream = iter(client.responses.create(**SLOW))
    seen = read_until_text(stream, 5)
    installation.kill("worker")
    *_, error = stream
    assert (error.type, error.code) == ("error", "stream_interrupted")
    id_, last = seen[0].response.id, error.sequence_number
    rest = list(client.responses.retrieve(id_, stream=True, starting_after=last))
    assert min(each.sequence_number for each in rest) > last
    assert join_text(rest) == rest[-1].response.output_text
    items = {each.item.id for each in (*seen, *rest) if each.type == "response.output_item.added"}
    assert len(items) == 2
    assert list(client.responses.retrieve(id_, stream=True)) == rest
    assert client.responses.retrieve(id_) == rest[-1].response


@pytest.mark.parametrize(("end", "stream"), [("kill", True), ("terminate", False)])
def test_an_answer_that_the_provider_makes_in_the_background_is_requested_once(
    installation: Installation, end: str, stream: bool
) -> None:
    before = installation.calls()
    body = {"model": "apart/story", "messages": [{"role": "user", "content": "A story."}]}
    asked = {"body": body | {"stream": stream}, "on_unknown": "fail", "max_attempts": 1}
    job_id = installation.http.post("/jobs", json=asked).json()["id"]
    begun = "SELECT 1 FROM attempts WHERE job_id = ? AND background IS NOT NULL"
    until(lambda: installation.ask(begun, job_id), 20, "the answer was not begun")
    getattr(installation.child("worker"), end)()
    job = installation.await_job(job_id)
    assert [each["outcome"] for each in job["attempts"]] == ["interrupted", "ok"]
    assert job["response"]["choices"][0]["message"]["content"] == STORY
    after = installation.calls()
    assert after["total"] == before["total"] + 1
    assert after["cancelled"] == before["cancelled"]


def test_a_response_is_resumed_long_after_its_end(
    installation: Installation, client: openai.OpenAI
) -> None:
    """OpenAI resumes a stream for five minutes. Here all processes are new, and Valkey is empty."""
    seen = read_until_text(iter(client.responses.create(**SLOW)), 5)
    id_, last = seen[0].response.id, seen[-1].sequence_number
    installation.await_job(f"job_{id_.removeprefix('resp_')}")
    installation.stop()
    shutil.rmtree(installation.data_dir / "appendonlydir", ignore_errors=True)
    installation.start()
    rest = list(client.responses.retrieve(id_, stream=True, starting_after=last))
    events = [*seen, *rest]
    assert [each.sequence_number for each in events] == list(range(len(events)))
    assert join_text(events) == rest[-1].response.output_text
    assert client.responses.retrieve(id_) == rest[-1].response
