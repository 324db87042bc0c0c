"""The `anthropic` SDK, unchanged but for address and key, over models of several wires."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.e2e.conftest import PDF, PNG
from tests.installation import KEY, Installation, until

HELLO: list[Any] = [{"role": "user", "content": "one two three"}]
WEATHER: Any = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
WIRES = ("openai", "anthropic", "gemini")


@pytest.fixture(scope="module")
def client(wires: Installation) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=wires.root, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("wire", WIRES)
def test_message(client: anthropic.Anthropic, wire: str) -> None:
    message = client.messages.create(
        model=f"{wire}/sim", max_tokens=100, system="Be brief.", messages=HELLO
    )
    assert message.id.startswith("msg_")
    assert message.content[0].type == "text"
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0
    assert message.usage.model_extra
    assert message.usage.model_extra["cost"] > 0
    assert message._request_id
    assert message._request_id.startswith("req_")


@pytest.mark.parametrize("wire", WIRES)
def test_stream(client: anthropic.Anthropic, wire: str) -> None:
    with client.messages.stream(model=f"{wire}/sim-echo", max_tokens=100, messages=HELLO) as stream:
        texts = list(stream.text_stream)
        message = stream.get_final_message()
    assert "".join(texts) == "one two three"
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_tools(client: anthropic.Anthropic, wire: str, streamed: bool) -> None:
    asked = {
        "model": f"{wire}/sim-tools",
        "max_tokens": 100,
        "tools": [WEATHER],
        "tool_choice": {"type": "auto"},
    }
    first = _ask(client, streamed, messages=HELLO, **asked)
    assert first.stop_reason == "tool_use"
    [call] = [block for block in first.content if block.type == "tool_use"]
    assert call.name == "weather"
    assert isinstance(call.input, dict)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    turns = [
        *HELLO,
        {"role": "assistant", "content": [block.model_dump() for block in first.content]},
        {"role": "user", "content": [result]},
    ]
    second = _ask(client, streamed, messages=turns, **asked)
    assert second.stop_reason in ("end_turn", "tool_use")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_thinking(client: anthropic.Anthropic, wire: str, streamed: bool) -> None:
    asked = {
        "model": f"{wire}/sim-reason",
        "max_tokens": 4000,
        "thinking": {"type": "enabled", "budget_tokens": 2000},
    }
    message = _ask(client, streamed, messages=HELLO, **asked)
    found = {block.type: block for block in message.content}
    assert found["text"].text
    if wire == "gemini":  # the simulator sends the signature only
        assert found["redacted_thinking"].data
    else:
        assert found["thinking"].thinking
    if wire == "anthropic":
        assert found["thinking"].signature
    answer = {"role": "assistant", "content": [block.model_dump() for block in message.content]}
    again = _ask(client, streamed, messages=[*HELLO, answer, *HELLO], **asked)
    assert again.stop_reason == "end_turn"


def _ask(client: anthropic.Anthropic, streamed: bool, **body: Any) -> Any:
    if not streamed:
        return client.messages.create(**body)
    with client.messages.stream(**body) as stream:
        return stream.get_final_message()


@pytest.mark.parametrize("wire", WIRES)
def test_images_and_documents(client: anthropic.Anthropic, wire: str) -> None:
    picture = {
        "type": "base64",
        "media_type": "image/png",
        "data": base64.b64encode(PNG).decode(),
    }
    paper = {
        "type": "base64",
        "media_type": "application/pdf",
        "data": base64.b64encode(PDF).decode(),
    }
    blocks: list[Any] = [
        {"type": "image", "source": picture},
        {"type": "document", "source": paper, "title": "paper.pdf"},
        {"type": "text", "text": "What is it?"},
    ]
    message = client.messages.create(
        model=f"{wire}/sees", max_tokens=100, messages=[{"role": "user", "content": blocks}]
    )
    assert message.content


def test_a_pdf_is_read_for_a_model_without_files(client: anthropic.Anthropic) -> None:
    source = {
        "type": "base64",
        "media_type": "application/pdf",
        "data": base64.b64encode(PDF).decode(),
    }
    blocks: list[Any] = [{"type": "document", "source": source}]
    message = client.messages.create(
        model="openai/reads", max_tokens=500, messages=[{"role": "user", "content": blocks}]
    )
    assert message.content[0].type == "text"
    assert "The first page" in message.content[0].text


def test_count_tokens(client: anthropic.Anthropic) -> None:
    counted = client.messages.count_tokens(model="openai/sim", messages=HELLO, tools=[WEATHER])
    assert counted.input_tokens > 10
    assert counted.model_extra == {"estimated": True}


def test_a_bearer_token_is_a_key(wires: Installation) -> None:
    with anthropic.Anthropic(base_url=wires.root, auth_token=KEY, api_key=None) as client:
        assert client.messages.create(model="openai/sim", max_tokens=9, messages=HELLO).content


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ({"max_tokens": 0}, anthropic.BadRequestError, "max_tokens"),
        ({"model": "no/such"}, anthropic.NotFoundError, "no/such"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
            anthropic.BadRequestError,
            "messages.0.content.0.source.type",
        ),
        (
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            anthropic.NotFoundError,
            "tools.0",
        ),
        ({"model": "openai/sim-429-retry7"}, anthropic.RateLimitError, ""),
        ({"model": "anthropic/sim-529"}, anthropic.APIStatusError, ""),
    ],
)
def test_errors(client: anthropic.Anthropic, body: Any, error: Any, says: str) -> None:
    asked = {"model": "openai/sim", "max_tokens": 9, "messages": HELLO} | body
    with pytest.raises(error) as raised:
        client.messages.create(**asked)
    shown = raised.value.body
    assert shown["type"] == "error"
    assert says in shown["error"]["message"]
    assert raised.value.request_id == shown["request_id"]


def test_a_wrong_key(wires: Installation) -> None:
    with (
        anthropic.Anthropic(base_url=wires.root, api_key="sk-wb-wrong", max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError) as raised,
    ):
        client.messages.create(model="openai/sim", max_tokens=9, messages=HELLO)
    assert raised.value.body["error"]["type"] == "authentication_error"


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
def test_an_error_in_a_stream(client: anthropic.Anthropic, wire: str) -> None:
    with (
        pytest.raises(anthropic.APIStatusError) as raised,
        client.messages.stream(
            model=f"{wire}/sim-errstream", max_tokens=9, messages=HELLO
        ) as stream,
    ):
        stream.until_done()
    assert raised.value.body["type"] == "error"


def test_fields_of_anthropic_are_named_for_others(wires: Installation) -> None:
    asked = {
        "max_tokens": 9,
        "messages": HELLO,
        "context_management": {"edits": []},
    }
    headers = {"anthropic-beta": "context-management-2025-06-27"}
    for wire, expected in (
        ("openai", "context_management: openai does not read it; anthropic-beta: "),
        ("anthropic", ""),
    ):
        answer = wires.http.post(
            "/messages", json=asked | {"model": f"{wire}/sim"}, headers=headers
        )
        assert answer.status_code == 200, answer.text
        assert answer.headers.get("X-Waybill-Warnings", "").startswith(expected)


def test_a_batch(client: anthropic.Anthropic) -> None:
    def request(custom_id: str, model: str, **more: Any) -> Any:
        params = {"model": model, "max_tokens": 99, "messages": HELLO} | more
        return {"custom_id": custom_id, "params": params}

    batch = client.messages.batches.create(
        requests=[
            request("a", "openai/sim-echo"),
            request("b", "anthropic/sim-echo", system="Be brief."),
            request("c", "no/such"),
            request("d", "openai/sim", max_tokens=0),
            request("e", "openai/sim-401"),
        ]
    )
    assert batch.id.startswith("msgbatch_")
    assert batch.processing_status == "in_progress"

    def ended() -> Any:
        found = client.messages.batches.retrieve(batch.id)
        return found if found.processing_status == "ended" else None

    counts = until(ended, 60, "not ended").request_counts
    assert (counts.succeeded, counts.errored, counts.processing) == (2, 3, 0)
    results = {each.custom_id: each.result for each in client.messages.batches.results(batch.id)}
    for custom_id in ("a", "b"):
        assert results[custom_id].message.content[0].text == "one two three"
        assert results[custom_id].message.usage.output_tokens > 0
    assert results["c"].error.error.type == "not_found_error"
    assert results["d"].error.error.type == "invalid_request_error"
    assert "max_tokens" in results["d"].error.error.message
    assert results["e"].error.error.type == "api_error"
    assert batch.id in [each.id for each in client.messages.batches.list(limit=5)]
    client.messages.batches.delete(batch.id)
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.retrieve(batch.id)


def test_a_cancelled_batch(client: anthropic.Anthropic) -> None:
    params: Any = {"model": "openai/sim", "max_tokens": 9, "messages": HELLO}
    batch = client.messages.batches.create(requests=[{"custom_id": "a", "params": params}])
    assert client.messages.batches.cancel(batch.id).processing_status in ("canceling", "ended")


def test_batches_are_listed_in_both_directions(client: anthropic.Anthropic) -> None:
    params: Any = {"model": "openai/sim", "max_tokens": 9, "messages": HELLO}
    ids = [
        client.messages.batches.create(requests=[{"custom_id": "a", "params": params}]).id
        for _ in range(3)
    ][::-1]
    batches = client.messages.batches

    def page(**where: Any) -> tuple[list[str], bool]:
        found = batches.list(**where)
        return [each.id for each in found.data], bool(found.has_more)

    assert page(limit=2)[0] == ids[:2]
    assert page(limit=1, after_id=ids[0]) == ([ids[1]], True)
    assert page(limit=1, before_id=ids[2]) == ([ids[1]], True)
    assert page(limit=5, before_id=ids[2]) == (ids[:2], False)
    newer = [each.id for each in batches.list(limit=1, before_id=ids[2])]
    assert newer == ids[:2][::-1]


def test_lines_of_a_batch_are_messages(wires: Installation) -> None:
    line = {"custom_id": "a", "body": {"model": "openai/sim-echo", "max_tokens": 9}}
    line["body"]["messages"] = HELLO
    batch = wires.http.post(
        "/batches", json={"endpoint": "/v1/messages", "requests": [line]}
    ).json()
    assert batch["endpoint"] == "/v1/messages"

    def ended() -> Any:
        found = wires.http.get(f"/batches/{batch['id']}").json()
        return found if found["status"] == "completed" else None

    [result] = until(ended, 60, "not ended")["results"]
    assert result["response"]["body"]["content"] == [{"type": "text", "text": "one two three"}]


def test_a_stored_message_and_its_stream(wires: Installation) -> None:
    body = {"model": "openai/sim-echo", "max_tokens": 99, "messages": HELLO, "stream": True}
    live = _events(wires.http.post("/messages", json=body).text)
    [start] = [data for _, name, data in live if name == "message_start"]
    path = f"/messages/{start['message']['id']}"
    stored = wires.http.get(path).json()
    assert stored["content"] == [{"type": "text", "text": "one two three"}]
    assert _events(wires.http.get(path, params={"stream": True}).text) == live
    middle = live[len(live) // 2][0]
    resumed = wires.http.get(path, params={"stream": True, "starting_after": middle})
    assert _events(resumed.text) == [each for each in live if each[0] > middle]
    assert wires.http.get("/messages/msg_01ARZ3NDEKTSV4RRFFQ69G5FAV").status_code == 404


def _events(text: str) -> list[tuple[int, str, Any]]:
    """Return the events of a stream: number, type and data."""
    found = []
    for frame in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in frame.splitlines() if ": " in line)
        if "id" in lines:
            found.append((int(lines["id"]), lines["event"], json.loads(lines["data"])))
    return found
