"""A chat completion becomes a message, whole or streamed; Anthropic's own answers survive."""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.completion import CompletionRequest
from broker.dialects.base import DialectJob
from broker.dialects.messages.answer import render_message
from broker.dialects.messages.reasoning import decode_details
from broker.dialects.messages.stream import MessageStream
from broker.events.job_events import Event
from workers.adapters.anthropic.response import read_response
from workers.adapters.anthropic.stream import AnthropicStreamReader

JOB = DialectJob("job_01", "acme/small", 1, {})
USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "cost": 0.5,
    "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
}
NATIVE = {"native": {"wire": "anthropic", "fields": {}}}
REQUEST = CompletionRequest(NATIVE, "claude-sonnet-4-5", stream=True)


def completion(message: Any, reason: str = "stop", **choice: Any) -> dict[str, Any]:
    whole = {"index": 0, "message": message, "finish_reason": reason} | choice
    return {"model": "acme/big", "provider": "sim", "choices": [whole], "usage": USAGE}


def chunk(delta: Any = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": fields.pop("reason", None)}
    return {"model": "acme/big", "choices": [choice], **fields}


def event(number: int, kind: str, data: Any) -> Event:
    return Event(number, kind, orjson.dumps(data))


def translate(*chunks: Any, job: DialectJob = JOB, end: str = "completed") -> list[dict[str, Any]]:
    """Return the events of a message for the chunks of a job."""
    stream = MessageStream(job)
    log = [event(1, "started", {})]
    log += [event(number, "chunk", each) for number, each in enumerate(chunks, start=2)]
    log.append(event(len(chunks) + 2, end, {"status": end, "error": {"message": "It broke."}}))
    return [each for item in log for each in stream.translate(item)]


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """Return the message that a client collects, as Anthropic's SDKs do."""
    message: dict[str, Any] = {}
    inputs: dict[int, str] = {}
    opened = -1
    for each in events:
        match each["type"]:
            case "message_start":
                message = dict(each["message"])
                message["content"] = []
            case "content_block_start":
                assert each["index"] == len(message["content"])
                assert opened == -1
                opened = each["index"]
                message["content"].append(dict(each["content_block"]))
            case "content_block_delta":
                _grow(message["content"][each["index"]], each["delta"], inputs, each["index"])
            case "content_block_stop":
                assert opened == each["index"]
                opened = -1
            case "message_delta":
                message |= each["delta"] | {"usage": each["usage"]}
    assert opened == -1
    for index, text in inputs.items():
        message["content"][index]["input"] = orjson.loads(text)
    return message


def _grow(block: Any, delta: Any, inputs: dict[int, str], index: int) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] = delta["signature"]
        case "citations_delta":
            block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
        case "input_json_delta":
            inputs[index] = inputs.get(index, "") + delta["partial_json"]


def test_a_completion_becomes_a_message() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    answer = completion({"content": "Hi", "tool_calls": [call]}, "tool_calls")
    message = render_message(answer, JOB)
    assert message["id"] == "msg_01"
    assert message["model"] == "acme/big"
    assert message["content"] == [
        {"type": "text", "text": "Hi"},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
    ]
    assert message["stop_reason"] == "tool_use"
    usage = message["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["cost"]) == (5, 5, 0.5)
    assert usage["cache_read_input_tokens"] == 3
    assert usage["cache_creation_input_tokens"] == 2


@pytest.mark.parametrize(
    ("finish", "native", "reason"),
    [
        ("stop", None, "end_turn"),
        ("length", "MAX_TOKENS", "max_tokens"),
        ("content_filter", None, "refusal"),
        ("stop", "stop_sequence", "stop_sequence"),
        ("stop", "pause_turn", "pause_turn"),
    ],
)
def test_stop_reasons(finish: str, native: str | None, reason: str) -> None:
    answer = completion({"content": "x"}, finish, native_finish_reason=native)
    assert render_message(answer, JOB)["stop_reason"] == reason


def test_a_refusal_is_explained() -> None:
    message = render_message(completion({"refusal": "No."}, "content_filter"), JOB)
    assert message["content"] == []
    assert message["stop_details"]["explanation"] == "No."


def test_reasoning_of_others_becomes_thinking_that_can_be_sent_back() -> None:
    details = [{"type": "reasoning.encrypted", "data": "x", "format": "openai-responses-v1"}]
    answer = completion({"content": "Hi", "reasoning": "Why", "reasoning_details": details})
    thinking, text = render_message(answer, JOB)["content"]
    assert thinking["thinking"] == "Why"
    assert decode_details(thinking["signature"]) == details
    assert text == {"type": "text", "text": "Hi"}


def test_a_page_is_cited() -> None:
    note = {"type": "url_citation", "url_citation": {"url": "https://h", "title": "T"}}
    answer = completion({"content": "Hi", "annotations": [note]})
    [text] = render_message(answer, JOB)["content"]
    assert text["citations"][0]["url"] == "https://h"


def test_a_picture_becomes_an_image() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    [block] = render_message(completion({"images": [image]}), JOB)["content"]
    assert block["source"] == {"type": "base64", "media_type": "image/png", "data": "aGk="}


def test_arguments_that_are_no_object_are_kept() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "[1"}}
    [block] = render_message(completion({"tool_calls": [call]}), JOB)["content"]
    assert block["input"] == {"arguments": "[1"}


def test_a_stream_of_text_and_calls() -> None:
    def call(index: int, arguments: str, **more: Any) -> dict[str, Any]:
        function = {"arguments": arguments} | ({"name": "f"} if more else {})
        return {"tool_calls": [{"index": index, "function": function, **more}]}

    events = translate(
        chunk({"role": "assistant", "content": ""}),
        chunk(
            {"reasoning": "Why", "reasoning_details": [{"type": "reasoning.text", "text": "Why"}]}
        ),
        chunk({"content": "H"}),
        chunk({"content": "i"}),
        chunk(call(0, "", id="c1")),
        chunk(call(0, '{"a":1}')),
        chunk(call(1, '{"b":2}', id="c2")),
        chunk({}, reason="tool_calls"),
        chunk(usage=USAGE),
    )
    assert events[0]["type"] == "message_start"
    assert [each["type"] for each in events[-2:]] == ["message_delta", "message_stop"]
    message = fold(events)
    assert message["content"] == [
        {"type": "thinking", "thinking": "Why", "signature": ""},
        {"type": "text", "text": "Hi"},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "c2", "name": "f", "input": {"b": 2}},
    ]
    assert message["stop_reason"] == "tool_use"
    assert message["usage"]["input_tokens"] == 5


def test_hidden_thinking_keeps_its_signature() -> None:
    job = DialectJob("job_01", "m", 1, {"thinking": {"type": "adaptive", "display": "omitted"}})
    detail = {"type": "reasoning.encrypted", "data": "x", "format": "google-gemini-v1"}
    events = translate(
        chunk({"reasoning": "Why", "reasoning_details": [detail]}),
        chunk({"content": "Hi"}),
        job=job,
    )
    thinking = fold(events)["content"][0]
    assert thinking["thinking"] == ""
    assert decode_details(thinking["signature"]) == [detail]


def test_details_without_thinking_come_in_a_block_of_their_own() -> None:
    detail = {"type": "reasoning.encrypted", "data": "x", "format": "google-gemini-v1", "id": "c"}
    function = {"name": "f", "arguments": "{}"}
    calls = [{"index": 0, "id": "c", "function": function}]
    events = translate(chunk({"tool_calls": calls, "reasoning_details": [detail]}))
    redacted, call = fold(events)["content"]
    assert decode_details(redacted["data"]) == [detail]
    assert call["id"] == "c"


def test_a_failed_job_ends_in_an_error() -> None:
    last = translate(chunk({"content": "Hi"}), end="failed")[-1]
    assert last["type"] == "error"
    assert last["error"]["message"] == "It broke."


def test_a_lost_attempt_ends_in_an_error() -> None:
    stream = MessageStream(JOB)
    stream.translate(event(1, "chunk", chunk({"content": "Hi"})))
    [error] = stream.translate(event(2, "retrying", {}))
    assert error["error"]["error_type"] == "stream_interrupted"
    assert stream.ended
    assert not stream.translate(event(3, "chunk", chunk({"content": "Hi"})))


def test_an_attempt_that_was_not_shown_leaves_no_trace() -> None:
    stream = MessageStream(JOB)
    assert not stream.translate(event(1, "retrying", {}))
    assert not stream.shown


def test_a_whole_answer_is_streamed_at_its_end() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    answer = completion({"content": "Hi", "reasoning": "Why", "tool_calls": [call]}, "tool_calls")
    stream = MessageStream(JOB)
    end = event(2, "completed", {"status": "completed", "response": answer})
    assert fold(stream.translate(end)) == render_message(answer, JOB)


def stream_of(message: Any) -> Iterator[Any]:
    """Yield the events by which Anthropic streams a message."""
    yield {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}}
    for index, block in enumerate(message["content"]):
        start, deltas = _pieces(block)
        yield {"type": "content_block_start", "index": index, "content_block": start}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ending = {name: message[name] for name in ("stop_reason", "stop_sequence")}
    yield {"type": "message_delta", "delta": ending, "usage": message["usage"]}
    yield {"type": "message_stop"}


def _pieces(block: Any) -> tuple[Any, list[Any]]:
    match block["type"]:
        case "text":
            cited = [
                {"type": "citations_delta", "citation": each} for each in block.get("citations", ())
            ]
            text = [{"type": "text_delta", "text": each} for each in block["text"]]
            return {"type": "text", "text": ""}, cited + text
        case "thinking":
            thought = {"type": "thinking_delta", "thinking": block["thinking"]}
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return block | {"thinking": "", "signature": ""}, [thought, signed]
        case "tool_use" | "server_tool_use":
            text = orjson.dumps(block["input"]).decode()
            cut = len(text) // 2
            pieces = [
                {"type": "input_json_delta", "partial_json": piece}
                for piece in (text[:cut], text[cut:])
                if piece
            ]
            return block | {"input": {}}, pieces
    return block, []


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
blocks = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("text"), "text": texts},
        optional={
            "citations": st.lists(
                st.fixed_dictionaries({"type": st.just("page_location"), "cited_text": texts}),
                min_size=1,
                max_size=2,
            )
        },
    ),
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": texts, "signature": texts}),
    st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": texts}),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["tool_use", "server_tool_use"]),
            "id": st.uuids().map(str),
            "name": st.just("f"),
            "input": st.dictionaries(texts, texts, max_size=2),
        },
        optional={"caller": st.just({"type": "direct"})},
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("web_search_tool_result"),
            "tool_use_id": st.just("s"),
            "content": st.just([{"type": "web_search_result", "url": "https://h"}]),
        }
    ),
)
messages = st.fixed_dictionaries(
    {
        "id": st.just("msg_up"),
        "type": st.just("message"),
        "role": st.just("assistant"),
        "model": st.just("claude-sonnet-4-5"),
        "content": st.lists(blocks, max_size=5),
        "stop_reason": st.sampled_from(["end_turn", "tool_use", "pause_turn", "stop_sequence"]),
        "stop_sequence": st.sampled_from([None, "END"]),
        "usage": st.just(
            {
                "input_tokens": 3,
                "output_tokens": 4,
                "cache_creation": {"ephemeral_5m_input_tokens": 0},
                "service_tier": "standard",
            }
        ),
    }
)
KEPT = ("content", "stop_reason", "stop_sequence")


@given(messages)
def test_an_answer_of_anthropic_survives(message: dict[str, Any]) -> None:
    read = read_response(message, REQUEST)
    answer = {"choices": read.choices, "usage": USAGE}
    rendered = render_message(answer, JOB)
    assert {name: rendered[name] for name in KEPT} == {name: message[name] for name in KEPT}
    assert rendered["usage"]["cache_creation"] == {"ephemeral_5m_input_tokens": 0}
    assert rendered["usage"]["service_tier"] == "standard"


@given(messages)
def test_a_stream_of_anthropic_survives(message: dict[str, Any]) -> None:
    reader = AnthropicStreamReader(REQUEST)
    frames = b"".join(
        b"event: %s\ndata: %s\n\n" % (each["type"].encode(), orjson.dumps(each))
        for each in stream_of(message)
    )
    read = [*reader.feed(frames), *reader.close()]
    chunks = [{"model": "m", "choices": each.choices} for each in read if each.choices]
    folded = fold(translate(*chunks, {"choices": [], "usage": USAGE}))
    assert {name: folded[name] for name in KEPT} == {name: message[name] for name in KEPT}
