"""Answers of the Responses API: whole, streamed in any way, and sent back in the next turn."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.completion import CompletionRequest, ErrorType, Usage
from workers.adapters.base import CutOffError, ProviderFailureError, Stage, Upstream
from workers.adapters.responses import ResponsesAdapter
from workers.upstream.assembly import Assembly

ADAPTER = ResponsesAdapter()
USER = {"role": "user", "content": "Hi"}
REQUEST = CompletionRequest({"messages": [USER]}, "gpt-5-pro", stream=True)
USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60},
    "output_tokens": 30,
    "output_tokens_details": {"reasoning_tokens": 10},
}


def whole(*output, status="completed", **more):
    head = {"id": "resp_1", "object": "response", "model": "gpt-5-pro-1", "service_tier": "default"}
    return {**head, "status": status, "output": list(output), "usage": USAGE, **more}


def read(*output, request=REQUEST, **more):
    return ADAPTER.read_response(json.dumps(whole(*output, **more)).encode(), request)


def event(kind, **said):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **said})}\n\n".encode()


def stream(*events, request=REQUEST):
    """Return the answer of a stream, as it is stored."""
    reader = ADAPTER.create_stream_reader(request)
    assembly = Assembly(lambda _: None)
    for each in events:
        for chunk in reader.feed(each):
            assembly.add(chunk)
    for chunk in reader.close():
        assembly.add(chunk)
    assert reader.stage is Stage.OVER
    return assembly.completion()


def message(text, item_id="msg_1", annotations=()):
    part = {"type": "output_text", "text": text, "annotations": list(annotations)}
    return {"type": "message", "id": item_id, "role": "assistant", "content": [part]}


def reasoning(item_id, *summary, data=None):
    parts = [{"type": "summary_text", "text": text} for text in summary]
    item = {"type": "reasoning", "id": item_id, "summary": parts}
    return item | ({"encrypted_content": data} if data else {})


def function_call(call_id, arguments="{}", name="f"):
    ids = {"id": f"fc_{call_id}", "call_id": call_id}
    return {"type": "function_call", **ids, "name": name, "arguments": arguments}


def custom_call(call_id, text):
    ids = {"id": f"ctc_{call_id}", "call_id": call_id}
    return {"type": "custom_tool_call", **ids, "name": "python", "input": text}


def test_an_answer_with_everything():
    answer = read(
        reasoning("rs_1", "One.", "Two.", data="gAAA"),
        message("Hello"),
        function_call("call_1", '{"a":1}'),
        custom_call("call_2", "1 + 1"),
    )
    [choice] = answer.choices
    form = "openai-responses-v1"
    assert choice["message"] == {
        "role": "assistant",
        "content": "Hello",
        "refusal": None,
        "reasoning": "One.\n\nTwo.",
        "reasoning_details": [
            {
                "type": "reasoning.summary",
                "summary": "One.",
                "id": "rs_1",
                "format": form,
                "index": 0,
            },
            {
                "type": "reasoning.summary",
                "summary": "Two.",
                "id": "rs_1",
                "format": form,
                "index": 1,
            },
            {
                "type": "reasoning.encrypted",
                "data": "gAAA",
                "id": "rs_1",
                "format": form,
                "index": 2,
            },
        ],
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"id": "call_2", "type": "custom", "custom": {"name": "python", "input": "1 + 1"}},
        ],
    }
    assert choice["finish_reason"] == "tool_calls"
    assert choice["native_finish_reason"] == "completed"
    assert answer.usage == Usage(input=40, cache_read=60, output=30, reasoning=10)
    assert (answer.upstream_id, answer.upstream_model) == ("resp_1", "gpt-5-pro-1")
    assert answer.service_tier == "default"


@pytest.mark.parametrize(
    ("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter")]
)
def test_an_incomplete_answer_says_why(reason, finish):
    answer = read(message("Hel"), status="incomplete", incomplete_details={"reason": reason})
    [choice] = answer.choices
    assert (choice["finish_reason"], choice["native_finish_reason"]) == (finish, reason)
    assert choice["message"]["content"] == "Hel"


@pytest.mark.parametrize(
    ("code", "error_type"),
    [
        ("rate_limit_exceeded", ErrorType.RATE_LIMIT_EXCEEDED),
        ("server_error", ErrorType.PROVIDER_UNAVAILABLE),
        ("invalid_prompt", ErrorType.INVALID_PROMPT),
    ],
)
def test_a_failed_answer_is_a_failure_by_its_code(code, error_type):
    failed = {"status": "failed", "error": {"code": code, "message": "It went wrong."}}
    with pytest.raises(ProviderFailureError) as caught:
        read(**failed)
    assert caught.value.failure.error_type is error_type
    for last in (
        event("response.failed", response=whole(**failed)),
        event("error", code=code, message="It went wrong.", param=None),
        event("error", error={"code": code, "message": "It went wrong."}),
    ):
        with pytest.raises(ProviderFailureError) as caught:
            stream(event("response.created", response=whole(status="in_progress")), last)
        assert caught.value.failure.error_type is error_type
        assert caught.value.failure.message == "It went wrong."


def test_a_cancelled_answer_is_a_failure():
    with pytest.raises(ProviderFailureError, match="cancelled"):
        read(status="cancelled")


def test_an_answer_that_still_runs_is_cut_off():
    with pytest.raises(CutOffError, match="still in_progress"):
        read(status="in_progress")


def test_reasoning_is_hidden_where_it_is_not_wanted():
    request = CompletionRequest({"messages": [USER], "reasoning": {"exclude": True}}, "m")
    item = reasoning("rs_1", "One.", data="gAAA")
    [choice] = read(item, message("Hello"), request=request).choices
    assert not {"reasoning", "reasoning_details"} & set(choice["message"])
    delta = event("response.reasoning_summary_text.delta", output_index=0, delta="One.")
    answer = stream(delta, event("response.completed", response=whole(item)), request=request)
    assert not {"reasoning", "reasoning_details"} & set(answer.choices[0]["message"])


def test_citations_count_in_the_whole_content():
    note = {"type": "url_citation", "url": "https://x.test", "start_index": 1, "end_index": 3}
    other = {"type": "file_citation", "file_id": "file-1", "index": 1}
    answer = read(message("First. ", "msg_1"), message("Second.", "msg_2", [note, other]))
    cited = {"url": "https://x.test", "title": "https://x.test", "start_index": 8, "end_index": 10}
    [choice] = answer.choices
    assert choice["message"]["content"] == "First. Second."
    assert choice["message"]["annotations"] == [{"type": "url_citation", "url_citation": cited}]


def test_web_searches_are_counted_where_the_usage_does_not_say():
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    assert read(search, {**search, "id": "ws_2"}, message("a")).usage.searches == 2
    stated = {**USAGE, "num_sources_used": 5}
    assert read(search, message("a"), usage=stated).usage.searches == 5


def test_log_probabilities_have_the_shape_of_chats():
    likely = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105]}
    item = message("Hi")
    item["content"][0]["logprobs"] = [{**likely, "top_logprobs": [likely]}]
    wanted = {"content": [{**likely, "top_logprobs": [likely]}], "refusal": None}
    assert read(item).choices[0]["logprobs"] == wanted
    bare = {"token": "Hi", "logprob": -0.1}
    place = {"output_index": 0, "content_index": 0}
    delta = event("response.output_text.delta", **place, delta="Hi", logprobs=[bare])
    [choice] = stream(delta, event("response.completed", response=whole(item))).choices
    assert choice["logprobs"]["content"] == [{**bare, "bytes": None, "top_logprobs": []}]


def test_a_drawn_image():
    item = {
        "type": "image_generation_call",
        "id": "ig_1",
        "result": "QUJD",
        "output_format": "webp",
    }
    [choice] = read(item, message("Here.")).choices
    assert choice["message"]["images"] == [
        {"type": "image_url", "image_url": {"url": "data:image/webp;base64,QUJD"}}
    ]


def test_the_usage_is_counted_before_the_end_where_the_provider_states_it():
    reader = ADAPTER.create_stream_reader(REQUEST)
    reader.feed(event("response.in_progress", response=whole(status="in_progress")))
    assert reader.usage == Usage(input=40, cache_read=60, output=30, reasoning=10)
    assert reader.stage is Stage.OPEN
    with pytest.raises(CutOffError):
        reader.close()


def test_a_text_that_differs_at_the_end_is_not_added_to_another():
    delta = event("response.output_text.delta", output_index=0, content_index=0, delta="Hallo")
    [choice] = stream(
        delta, event("response.completed", response=whole(message("Hello you")))
    ).choices
    assert choice["message"]["content"] == "Hallo"


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)
NAMES = st.sampled_from(["f", "weather", "look_up"])


@st.composite
def outputs(draw):
    """An output in the order in which models give it: reasoning, text, calls."""
    output = []
    for number in range(draw(st.integers(0, 2))):
        summary = draw(st.lists(TEXTS, max_size=2))
        output.append(reasoning(f"rs_{number}", *summary, data=f"gAAA{number}"))
    if draw(st.booleans()):
        output.append(message(draw(TEXTS)))
    for number in range(draw(st.integers(0 if output else 1, 2))):
        call_id = f"call_{number}"
        if draw(st.booleans()):
            output.append(custom_call(call_id, draw(TEXTS)))
        else:
            arguments = json.dumps({"a": draw(TEXTS)})
            output.append(function_call(call_id, arguments, draw(NAMES)))
    return output


def pieces(draw, text):
    cuts = sorted(draw(st.sets(st.integers(1, max(len(text) - 1, 1)), max_size=3)))
    return [text[a:b] for a, b in pairwise([0, *cuts, len(text)]) if text[a:b]]


def deltas(draw, kind, text, **place):
    return [event(kind, delta=each, **place) for each in pieces(draw, text)]


def item_events(draw, index, item):
    """Return the events of one item. Any of them may be missing, but for a call's first one."""
    place = {"output_index": index, "item_id": item["id"]}
    events = []
    match item["type"]:
        case "message":
            text = item["content"][0]["text"]
            kind = "response.output_text.delta"
            events += deltas(draw, kind, text, content_index=0, **place)
        case "reasoning":
            for number, part in enumerate(item["summary"]):
                kind = "response.reasoning_summary_text.delta"
                events += deltas(draw, kind, part["text"], summary_index=number, **place)
        case "function_call":
            kind = "response.function_call_arguments.delta"
            events += deltas(draw, kind, item["arguments"], **place)
        case "custom_tool_call":
            kind = "response.custom_tool_call_input.delta"
            events += deltas(draw, kind, item["input"], **place)
    bare = {**item, "content": [], "summary": [], "arguments": "", "input": ""}
    begun = event("response.output_item.added", output_index=index, item=bare)
    done = event("response.output_item.done", output_index=index, item=item)
    if draw(st.booleans()):  # some deltas, and the whole item
        return [begun, *events[: draw(st.integers(0, len(events)))], done]
    return [begun, *(events if draw(st.booleans()) else [])]


@st.composite
def streams(draw):
    output = draw(outputs())
    events = [event("response.created", response=whole(status="in_progress"))]
    for index, item in enumerate(output):
        events += item_events(draw, index, item)
        if draw(st.booleans()):
            events.append(event("response.a_kind_of_next_year", output_index=index, text="a"))
    return output, [*events, event("response.completed", response=whole(*output))]


def thoughts(answer):
    """Return the reasoning details in the order of their items; a stream may end items later."""
    details = answer.get("reasoning_details") or []
    texts = [each["summary"] for each in details if "summary" in each]
    assert (answer.get("reasoning") or "") == "\n\n".join(texts)
    assert [each["index"] for each in details] == list(range(len(details)))
    return sorted(
        (each["id"], each["type"], each.get("summary") or each.get("data")) for each in details
    )


@given(streams())
def test_a_stream_says_what_the_whole_answer_says_whatever_is_missing(drawn):
    output, events = drawn
    [streamed], [choice] = stream(*events).choices, read(*output).choices
    for name in ("content", "refusal", "tool_calls"):
        assert (streamed["message"].get(name) or None) == (choice["message"].get(name) or None)
    assert thoughts(streamed["message"]) == thoughts(choice["message"])
    assert streamed["finish_reason"] == choice["finish_reason"]


@given(streams(), st.data())
def test_no_cutting_changes_a_stream(drawn, data):
    _, events = drawn
    joined = b"".join(events)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(joined)), max_size=8)))
    parts = [joined[a:b] for a, b in pairwise([0, *cuts, len(joined)])]
    assert stream(*parts) == stream(joined)


@given(outputs())
def test_the_next_turn_sends_back_what_the_model_said(output):
    [choice] = read(*output).choices
    body = {"messages": [USER, choice["message"]]}
    request = CompletionRequest(body, "gpt-5-pro")
    built = ADAPTER.build_request(request, Upstream("openai", "https://h/v1"))
    items = json.loads(built.body)["input"][1:]
    assert len(items) == len(output)
    for item, original in zip(items, output, strict=True):
        if original["type"] == "message":
            [part] = item["content"]
            assert part == {"type": "output_text", "text": original["content"][0]["text"]}
            continue
        # the ids of calls are the provider's own; a call is known by its `call_id`
        own = {name for name in original if name != "id" or original["type"] == "reasoning"}
        assert item == {name: original[name] for name in own}
