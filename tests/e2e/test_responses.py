"""POST /responses through the `openai` SDK, unchanged."""

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.e2e.hooks import Receiver, Tenant
from tests.installation import KEY, Installation

FUNCTION = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}


@pytest.fixture(scope="module")
def client(installation: Installation) -> Any:
    with openai.OpenAI(base_url=installation.url, api_key=KEY, max_retries=0) as client:
        yield client


def test_an_answer(client: openai.OpenAI) -> None:
    response = client.responses.create(
        model="sim/sim-echo", input="Good day", instructions="Be brief.", metadata={"a": "b"}
    )
    assert response.output_text == "Good day"
    assert (response.status, response.object, response.model) == (
        "completed", "response", "sim/sim-echo",
    )  # fmt: skip
    assert response.instructions == "Be brief."
    assert response.metadata == {"a": "b"}
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert response.usage.cost >= 0
    include = ["message.output_text.logprobs"]
    assert client.responses.retrieve(response.id, include=include) == response


def test_a_stream_has_every_event_in_order_and_ends_with_the_answer(client: openai.OpenAI) -> None:
    events = list(
        client.responses.create(model="sim/sim-echo-reason", input="one two three", stream=True)
    )
    assert [each.sequence_number for each in events] == list(range(len(events)))
    types = list(dict.fromkeys(each.type for each in events))
    assert types == [
        "response.created", "response.in_progress", "response.output_item.added",
        "response.content_part.added", "response.reasoning_text.delta",
        "response.reasoning_text.done", "response.content_part.done", "response.output_item.done",
        "response.output_text.delta", "response.output_text.done", "response.completed",
    ]  # fmt: skip
    deltas = [each.delta for each in events if each.type == "response.output_text.delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == "one two three"
    final = events[-1].response
    assert final.output_text == "one two three"
    assert [each.type for each in final.output] == ["reasoning", "message"]
    assert client.responses.retrieve(final.id) == final


def test_the_helper_of_the_sdk_collects_a_stream(client: openai.OpenAI) -> None:
    with client.responses.stream(model="sim/sim-echo", input="one two three") as stream:
        done = [each for each in stream if each.type == "response.output_text.done"]
        assert stream.get_final_response().output_text == "one two three"
    assert [each.text for each in done] == ["one two three"]


def test_tools_are_called_and_their_results_are_sent_by_the_previous_response(
    client: openai.OpenAI,
) -> None:
    asked = {"model": "sim/sim-tools", "tools": [FUNCTION]}
    first = client.responses.create(**asked, input="The weather in Paris?", instructions="Be kind.")
    [call] = first.output
    assert (call.type, call.name) == ("function_call", "weather")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    second = client.responses.create(
        model="sim/sim-echo", input=[result, {"role": "user", "content": "So?"}],
        previous_response_id=first.id,
    )  # fmt: skip
    assert second.output_text == "So?"
    assert second.previous_response_id == first.id
    items = [{"role": "user", "content": "The weather in Paris?"}, *first.output, result]
    again = client.responses.create(**asked, input=items, tool_choice="none")
    assert again.status == "completed"


def test_the_messages_of_a_later_turn(client: openai.OpenAI, installation: Installation) -> None:
    first = client.responses.create(model="sim/sim-echo", input="One", instructions="Secret.")
    second = client.responses.create(
        model="sim/sim-echo", input="Two", instructions="New.", previous_response_id=first.id
    )
    query = "SELECT request FROM job_payloads WHERE job_id = ?"
    [(request,)] = installation.ask(query, f"job_{second.id.removeprefix('resp_')}")
    sent = json.loads(request)["messages"]
    assert [(each["role"], each["content"]) for each in sent] == [
        ("system", "New."), ("user", "One"), ("assistant", "One"), ("user", "Two"),
    ]  # fmt: skip


def test_calls_are_streamed(client: openai.OpenAI) -> None:
    asked = {"model": "sim/sim-tools", "input": "?", "tools": [FUNCTION]}
    events = list(client.responses.create(**asked, stream=True))
    kind = "response.function_call_arguments"
    deltas = [each.delta for each in events if each.type == f"{kind}.delta"]
    [done] = [each for each in events if each.type == f"{kind}.done"]
    [item] = events[-1].response.output
    assert "".join(deltas) == done.arguments == item.arguments
    assert deltas


class Person(BaseModel):
    name: str
    age: int


def test_structured_output(client: openai.OpenAI) -> None:
    response = client.responses.parse(model="sim/sim-json", input="Ada", text_format=Person)
    assert isinstance(response.output_parsed, Person)


def test_a_limit_makes_the_response_incomplete(client: openai.OpenAI) -> None:
    asked = {"model": "sim/sim-echo", "input": "one two three", "max_output_tokens": 2}
    response = client.responses.create(**asked)
    assert (response.status, response.incomplete_details.reason) == (
        "incomplete", "max_output_tokens",
    )  # fmt: skip
    *_, last = client.responses.create(**asked, stream=True)
    assert last.type == "response.incomplete"


def test_input_items(client: openai.OpenAI) -> None:
    message = {"role": "user", "content": "Two"}
    response = client.responses.create(
        model="sim/sim-echo", input=[message | {"content": "One"}, message]
    )
    listed = list(client.responses.input_items.list(response.id, limit=1, order="asc"))
    assert [each.content[0].text for each in listed] == ["One", "Two"]
    newest = client.responses.input_items.list(response.id, limit=1)
    assert newest.data[0].content[0].text == "Two"
    assert newest.has_more


def test_references_to_items(client: openai.OpenAI) -> None:
    first = client.responses.create(model="sim/sim-tools", input="?", tools=[FUNCTION])
    [call] = first.output
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    reference = {"type": "item_reference", "id": call.id}
    second = client.responses.create(
        model="sim/sim-echo", input=[{"role": "user", "content": "Hi"}, reference, result]
    )
    assert second.status == "completed"


def test_background(client: openai.OpenAI) -> None:
    response = client.responses.create(model="sim/sim-lat500", input="Hi", background=True)
    assert response.status in {"queued", "in_progress"}
    assert (response.background, response.output) == (True, [])
    while response.status in {"queued", "in_progress"}:
        response = client.responses.retrieve(response.id)
    assert response.output_text
    assert response.completed_at >= response.created_at
    events = list(client.responses.retrieve(response.id, stream=True))
    assert [each.sequence_number for each in events] == list(range(len(events)))
    assert events[-1].response == response


def test_a_background_stream_is_resumed_by_its_numbers(client: openai.OpenAI) -> None:
    text = " ".join(f"word{number}" for number in range(97))
    asked = {"model": "sim/sim-echo-tok97-chunk5", "input": text, "background": True}
    seen = []
    with client.responses.create(**asked, stream=True) as stream:
        for event in stream:
            seen.append(event)
            if event.type == "response.output_text.delta" and len(seen) > 8:
                break
    assert [each.type for each in seen[:3]] == [
        "response.created", "response.queued", "response.in_progress",
    ]  # fmt: skip
    id_ = seen[0].response.id
    rest = list(
        client.responses.retrieve(id_, stream=True, starting_after=seen[-1].sequence_number)
    )
    events = [*seen, *rest]
    assert [each.sequence_number for each in events] == list(range(len(events)))
    deltas = [each.delta for each in events if each.type == "response.output_text.delta"]
    assert "".join(deltas) == events[-1].response.output_text
    assert list(client.responses.retrieve(id_, stream=True, starting_after=5)) == events[6:]


def test_a_response_is_cancelled(client: openai.OpenAI) -> None:
    response = client.responses.create(model="sim/sim-lat20000", input="Hi", background=True)
    cancelled = client.responses.cancel(response.id)
    assert cancelled.id == response.id
    while cancelled.status == "in_progress":
        cancelled = client.responses.cancel(response.id)
    assert cancelled.status == "cancelled"
    assert client.responses.retrieve(response.id).status == "cancelled"
    *_, last = client.responses.retrieve(response.id, stream=True)
    assert (last.type, last.response.status) == ("response.failed", "cancelled")


def test_a_response_that_was_cancelled_keeps_what_it_had_produced(client: openai.OpenAI) -> None:
    asked = {"model": "sim/sim-tok400-chunk50", "input": "Hi", "background": True}
    events, seen = iter(client.responses.create(**asked, stream=True)), ""
    for event in events:
        if event.type == "response.output_text.delta":
            seen += event.delta
            break
    id_ = f"resp_{event.item_id.split('_')[1]}"
    while client.responses.cancel(id_).status == "in_progress":
        pass
    *rest, last = events
    seen += "".join(each.delta for each in rest if each.type == "response.output_text.delta")
    [item] = last.response.output
    assert (last.response.status, item.status) == ("cancelled", "incomplete")
    assert item.content[0].text == seen
    assert client.responses.retrieve(id_) == last.response
    assert last.response.completed_at is None


def test_a_response_is_deleted(client: openai.OpenAI) -> None:
    response = client.responses.create(model="sim/sim-echo", input="Hi")
    client.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="sim/sim-echo", input="?", previous_response_id=response.id)
    assert refused.value.param == "previous_response_id"


def test_a_job_that_fails(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as failed:
        client.responses.create(model="sim/sim-400", input="Hi")
    assert failed.value.type == "invalid_request_error"
    response = client.responses.create(model="sim/sim-400", input="Hi", background=True)
    while response.status in {"queued", "in_progress"}:
        response = client.responses.retrieve(response.id)
    assert (response.status, response.error.code) == ("failed", "server_error")


def test_the_input_is_counted(client: openai.OpenAI) -> None:
    short = client.responses.input_tokens.count(model="sim/sim-echo", input="Hi")
    long = client.responses.input_tokens.count(model="sim/sim-echo", input="Hi " * 100)
    assert 0 < short.input_tokens < long.input_tokens


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (
            {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
            "input.0.content.0.text",
        ),
        ({"input": "Hi", "tools": [{"type": "code_interpreter"}]}, "tools.0.type"),
        ({"input": "Hi", "previous_response_id": "resp_nope"}, "previous_response_id"),
        ({"input": "Hi", "conversation": "conv_1"}, "conversation"),
    ],
)
def test_bad_input_has_the_shape_of_openai(
    client: openai.OpenAI, body: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="sim/sim-echo", **body)
    assert (refused.value.param, refused.value.type) == (param, "invalid_request_error")


def test_what_is_not_stored_is_refused_in_the_background(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(
            model="sim/sim-echo", input="Hi", background=True, extra_headers={"X-Store": "none"}
        )
    assert refused.value.param == "background"


def test_warnings_are_in_a_header(client: openai.OpenAI) -> None:
    raw = client.responses.with_raw_response.create(
        model="sim/sim-echo",
        input="Hi",
        tools=[{"type": "web_search"}],
        prompt_cache_key="k",
        text={"verbosity": "low"},
    )
    for name in ("web_search", "prompt_cache_key: sim does", "verbosity: sim does"):
        assert name in raw.headers["x-waybill-warnings"]
    assert raw.headers["x-job-id"] == f"job_{raw.parse().id.removeprefix('resp_')}"


def test_an_idempotency_key_returns_the_earlier_response(client: openai.OpenAI) -> None:
    asked = {"model": "sim/sim-echo", "input": "Hi", "extra_headers": {"Idempotency-Key": "r-1"}}
    first = client.responses.create(**asked)
    assert client.responses.create(**asked) == first


def test_reasoning_comes_back_in_the_next_turn(client: openai.OpenAI) -> None:
    first = client.responses.create(model="sim/sim-echo-reason", input="One")
    items = [{"role": "user", "content": "One"}, *first.output, {"role": "user", "content": "Two"}]
    assert client.responses.create(model="sim/sim-echo", input=items).output_text == "Two"


@pytest.mark.parametrize(
    ("model", "limit", "status"),
    [
        ("sim/sim-echo", None, "completed"),
        ("sim/sim-echo", 1, "incomplete"),
        ("sim/sim-400", None, "failed"),
        ("sim/sim-lat20000", None, "cancelled"),
    ],
)
def test_the_sdk_unwraps_the_webhook_of_an_end(
    tenant: Tenant, receiver: Receiver, model: str, limit: int | None, status: str
) -> None:
    path = f"/responses/{status}"
    own = tenant.endpoint(receiver.url(path), events=["response.*"])
    key = tenant.http.headers["authorization"].removeprefix("Bearer ")
    url, secret = tenant.installation.url, own["secret"]
    with openai.OpenAI(base_url=url, api_key=key, webhook_secret=secret) as client:
        response = client.responses.create(
            model=model, input="one two three", background=True, max_output_tokens=limit
        )
        if status == "cancelled":
            client.responses.cancel(response.id)
        (post,) = receiver.await_posts(path)
        event = client.webhooks.unwrap(post.body, dict(post.headers))
    assert (event.type, event.object, event.data.id) == (
        f"response.{status}", "event", response.id,
    )  # fmt: skip
    assert event.id == post.id
