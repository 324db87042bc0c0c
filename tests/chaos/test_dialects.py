"""kill -9 of API and worker in the middle of a response, and of a message as Claude Code asks."""

import contextlib
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.e2e.sse import Frame, frames, read
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
[[models]]
slug = "sim/agent"
[[models.endpoints]]
provider = "sim"
model = "sim-reason-tok60-chunk50"
prompt = "1"
completion = "2"
"""
"""A provider that answers in the background, and a model that thinks before it speaks."""

TURN = {
    "model": "sim/agent",
    "max_tokens": 4000,
    "stream": True,
    "system": [{"type": "text", "text": "You write code.", "cache_control": {"type": "ephemeral"}}],
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "tools": [{"name": "Bash", "description": "Run.", "input_schema": {"type": "object"}}],
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
}
"""A turn as Claude Code asks for it."""


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


def lose_api(installation: Installation) -> None:
    """Kill the API, and wait for the one that is started in its place."""
    api = installation.child("api").pid
    installation.kill("api")
    until(lambda: installation.await_child("api").pid != api, 20, "not started again")
    installation.await_ready()


def begin_message(installation: Installation, end: Callable[[], None]) -> list[Frame]:
    """Read a stream of a message until `end` is called in its middle; return whole events."""
    seen: list[Frame] = []
    with (
        contextlib.suppress(httpx.TransportError),
        httpx.stream(
            "POST", f"{installation.root}/v1/messages", headers={"x-api-key": KEY}, json=TURN
        ) as answer,
    ):
        for frame in read(answer.iter_lines()):
            seen += [] if frame.name == "ping" else [frame]
            if [each.json.get("delta", {}).get("type") for each in seen].count("text_delta") == 5:
                end()
    return seen[: max(place for place, each in enumerate(seen, 1) if each.number)]


def follow_message(installation: Installation, id_: str, after: int = 0) -> list[Frame]:
    query = {"stream": "true", "starting_after": after}
    told = frames(installation.http.get(f"/messages/{id_}", params=query).text)
    return [each for each in told if each.name != "ping"]


def join_blocks(told: list[Frame]) -> dict[str, str]:
    """Return the text of each kind of delta."""
    joined: dict[str, str] = defaultdict(str)
    for delta in (each.json.get("delta", {}) for each in told):
        kind = delta.get("type", "").removesuffix("_delta")
        joined[kind] += delta.get(kind, "")
    return joined


def join_text(events: list[Any]) -> str:
    return "".join(each.delta for each in events if each.type == "response.output_text.delta")


def test_a_background_stream_outlives_the_api(
    installation: Installation, client: openai.OpenAI
) -> None:
    seen = read_until_text(iter(client.responses.create(**SLOW)), 5)
    lose_api(installation)
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


def test_a_message_outlives_the_api(installation: Installation) -> None:
    seen = begin_message(installation, lambda: lose_api(installation))
    id_ = seen[0].json["message"]["id"]
    rest = follow_message(installation, id_, seen[-1].number)
    assert [*seen, *rest] == follow_message(installation, id_)
    assert rest[-1].name == "message_stop"
    check_message(installation, id_, [*seen, *rest])


def test_a_message_outlives_its_worker(installation: Installation) -> None:
    *seen, error = begin_message(installation, lambda: installation.kill("worker"))
    assert error.json["error"]["type"] == "api_error"
    id_ = seen[0].json["message"]["id"]
    rest = follow_message(installation, id_, error.number)
    assert [rest[0].name, rest[-1].name] == ["message_start", "message_stop"]
    assert min(each.number for each in rest if each.number) > error.number
    assert rest == follow_message(installation, id_)
    check_message(installation, id_, rest)


def check_message(installation: Installation, id_: str, told: list[Frame]) -> None:
    """Check that a stream has the stored message, and that it was charged once."""
    message = installation.http.get(f"/messages/{id_}").json()
    blocks = {block["type"]: block[block["type"]] for block in message["content"]}
    joined = join_blocks(told)
    assert blocks == {kind: joined[kind] for kind in ("thinking", "text")}
    job_id = f"job_{id_.removeprefix('msg_')}"
    charged = "SELECT kind FROM ledger_entries WHERE job_id = ? ORDER BY kind"
    assert installation.ask(charged, job_id) == [("hold",), ("settle",)]


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
