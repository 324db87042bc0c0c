import json

import pytest

from broker.completion import CompletionRequest, ErrorType, Usage
from workers.adapters.base import MalformedAnswerError, ProviderFailureError
from workers.adapters.openai import OpenAiAdapter

REQUEST = CompletionRequest(body={"messages": []}, model="m", stream=True)
LEGACY = CompletionRequest(body={"messages": [], "functions": []}, model="m", stream=True)
DONE = "data: [DONE]\n\n"
STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def event(payload):
    return f"data: {payload if isinstance(payload, str) else json.dumps(payload)}\n\n"


def delta(index=0, finish=None, **said):
    return {"id": "x", "choices": [{"index": index, "delta": said, "finish_reason": finish}]}


def read(*payloads, done=True, request=REQUEST):
    reader = OpenAiAdapter().create_stream_reader(request)
    text = "".join(map(event, payloads)) + (DONE if done else "")
    return reader.feed(text.encode()) + reader.close()


def parts(chunks):
    return [part for chunk in chunks for part in chunk.choices]


def calls(*entries, finish="tool_calls"):
    """Fold the tool calls of a stream whose deltas have these entries."""
    chunks = read(*(delta(tool_calls=[entry]) for entry in entries), delta(finish=finish))
    folded = []
    for part in parts(chunks):
        for entry in part["delta"].get("tool_calls", ()):
            if entry["index"] == len(folded):
                folded.append([entry["id"], entry["function"]["name"], ""])
            folded[entry["index"]][2] += entry["function"]["arguments"]
    assert parts(chunks)[-1]["finish_reason"] == "tool_calls"
    return folded


def entry(name=None, arguments=None, **more):
    return {**more, "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize("done", [True, False])
def test_a_plain_stream(done):
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    chunks = read(
        delta(role="assistant", content=""),
        delta(content="Hel"),
        delta(role="assistant", content="lo"),
        delta(content="", finish="stop"),
        {"choices": [], "usage": usage},
        done=done,
    )
    assert [part["delta"] for part in parts(chunks)] == [
        {"role": "assistant", "content": ""},
        {"content": "Hel"},
        {"content": "lo"},
        {},
    ]
    assert [part["finish_reason"] for part in parts(chunks)] == [None, None, None, "stop"]
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * 4
    assert chunks[-1].usage == Usage(input=1, output=2)
    assert chunks[-1].choices == ()
    assert {chunk.upstream_id for chunk in chunks} == {"x"}


def test_usage_is_the_last_word_not_a_sum():
    growing = [{**delta(content="a"), "usage": {"prompt_tokens": 1, "completion_tokens": n}}
               for n in (1, 2, 3)]  # fmt: skip
    chunks = read(*growing, STOP)
    assert [c.usage for c in chunks if c.usage] == [Usage(input=1, output=3)]


def test_groqs_usage():
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    assert read({**STOP, "x_groq": {"usage": usage}})[-1].usage == Usage(input=1, output=2)


def test_a_repeated_finish_reason_comes_once():
    chunks = read(delta(content="a"), delta(finish="stop"), {**STOP, "usage": None})
    finishes = [p["finish_reason"] for p in parts(chunks) if p["finish_reason"]]
    assert finishes == ["stop"]


def test_text_after_the_finish_reason_comes_before_it():
    chunks = read(delta(content="a"), delta(finish="stop"), delta(content="b"))
    assert [p["delta"].get("content") for p in parts(chunks)] == ["a", "b", None]


def test_choices_are_kept_apart():
    chunks = read(delta(1, content="b"), delta(0, content="a"), delta(1, finish="length"),
                  delta(0, finish="stop"))  # fmt: skip
    ends = {p["index"]: p["finish_reason"] for p in parts(chunks) if p["finish_reason"]}
    assert ends == {0: "stop", 1: "length"}
    assert sum("role" in p["delta"] for p in parts(chunks)) == 2


def test_reasoning_in_every_spelling():
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "c"}]}]
    chunks = read(delta(reasoning="a"), delta(reasoning_content="b", content=None),
                  delta(content=thinking), delta(content="<think>"), STOP)  # fmt: skip
    said = [p["delta"] for p in parts(chunks)]
    assert "".join(d.get("reasoning", "") for d in said) == "abc"
    assert "".join(d.get("content") or "" for d in said) == "<think>"


def test_think_tags_cut_anywhere():
    text = "<think>\nwhy</think>\n\nbecause"
    said = [p["delta"] for p in parts(read(*(delta(content=c) for c in text), STOP))]
    assert "".join(d.get("reasoning", "") for d in said) == "why"
    assert "".join(d.get("content") or "" for d in said) == "because"


def test_perplexitys_cumulative_message_is_not_repeated():
    chunks = read(*(
        {"choices": [{"index": 0, "delta": {"content": new}, "message": {"content": all_of_it},
                      "finish_reason": finish}]}
        for new, all_of_it, finish in [("1", "1", None), (" 2", "1 2", None), ("", "1 2", "stop")]
    ))  # fmt: skip
    assert "".join(p["delta"].get("content") or "" for p in parts(chunks)) == "1 2"


OBJECT = '{"a":1}'


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        # OpenAI's own way; ids or names null, empty or repeated in what continues a call.
        ([entry("f", "", index=0, id="c"), entry(None, '{"a"', index=0),
          entry(None, ":1}", index=0)],
         [["c", "f", OBJECT]]),
        ([entry("f", "", index=0, id="c"), entry(None, OBJECT, index=0, id="")],
         [["c", "f", OBJECT]]),
        ([entry("f", "", index=0, id="c"), entry("", OBJECT, index=0, id=None)],
         [["c", "f", OBJECT]]),
        ([entry("f", '{"a"', index=0, id="c"), entry("f", ":1}", index=0, id="c")],
         [["c", "f", OBJECT]]),
        ([entry("f", '{"a"', index=0, id="c"), entry(None, ":1}", index=0, id="other")],
         [["c", "f", OBJECT]]),
        # Whole calls at once: with indexes, all under one index, or with none.
        ([entry("f", OBJECT, index=0, id="c"), entry("g", OBJECT, index=1, id="d")],
         [["c", "f", OBJECT], ["d", "g", OBJECT]]),
        ([entry("f", OBJECT, index=0, id="c"), entry("f", OBJECT, index=0, id="d")],
         [["c", "f", OBJECT], ["d", "f", OBJECT]]),
        ([entry("f", OBJECT, id="c"), entry("f", OBJECT, id="d")],
         [["c", "f", OBJECT], ["d", "f", OBJECT]]),
        ([entry("f", '{"a"', id="c"), entry(None, ":1}")], [["c", "f", OBJECT]]),
        # Indexes that begin at one, interleaved pieces, a name that comes late.
        ([entry("f", OBJECT, index=1, id="c")], [["c", "f", OBJECT]]),
        ([entry("f", '{"a"', index=0, id="c"), entry("g", '{"a"', index=1, id="d"),
          entry(None, ":1}", index=0), entry(None, ":1}", index=1)],
         [["c", "f", OBJECT], ["d", "g", OBJECT]]),
        ([entry(None, "", index=0, id="c"), entry("f", OBJECT, index=0)], [["c", "f", OBJECT]]),
        # No arguments at all, arguments as an object.
        ([entry("f", "", index=0, id="c")], [["c", "f", "{}"]]),
        ([entry("f", None, index=0, id="c")], [["c", "f", "{}"]]),
        ([entry("f", {"a": 1}, index=0, id="c")], [["c", "f", OBJECT]]),
        ([entry(None, OBJECT, index=0, id="c"), entry("g", "{}", index=1, id="d")],
         [["d", "g", "{}"]]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("finish", ["tool_calls", "stop", "function_call"])
def test_tool_calls(entries, expected, finish):
    assert calls(*entries, finish=finish) == expected


def test_calls_without_ids_get_different_ones():
    first, second = calls(entry("f", OBJECT, index=0), entry("f", OBJECT, index=0))
    assert first[0] != second[0]
    assert calls(entry("f", OBJECT, index=0), entry("f", OBJECT, index=0)) == [first, second]


def test_a_function_call_in_the_old_form():
    old = [delta(function_call={"name": "f", "arguments": ""}),
           delta(function_call={"arguments": "{}"}), delta(finish="function_call")]  # fmt: skip
    said = [p["delta"] for p in parts(read(*old, request=LEGACY))]
    assert said[0]["function_call"] == {"name": "f", "arguments": ""}
    assert said[1]["function_call"] == {"arguments": "{}"}
    new = [p["delta"].get("tool_calls") for p in parts(read(*old))]
    assert new[0][0]["function"]["name"] == "f"


FAILURES = [
    ({"error": {"code": 429, "message": "x"}}, ErrorType.RATE_LIMIT_EXCEEDED),
    ({"error": "overloaded", **delta(content="")}, ErrorType.PROVIDER_OVERLOADED),
    ({"choices": [{"index": 0, "delta": {}, "finish_reason": "error",
                   "error": {"code": 502, "message": "x"}}]}, ErrorType.PROVIDER_UNAVAILABLE),
]  # fmt: skip


@pytest.mark.parametrize(("failure", "error_type"), FAILURES)
def test_a_failure_comes_after_the_chunks_before_it(failure, error_type):
    reader = OpenAiAdapter().create_stream_reader(REQUEST)
    text = event(delta(content="half")) + event(failure) + DONE
    assert parts(reader.feed(text.encode()))[0]["delta"]["content"] == "half"
    with pytest.raises(ProviderFailureError) as caught:
        reader.close()
    assert caught.value.failure.error_type is error_type


def test_groqs_error_event():
    error = {"error": {"message": "no", "code": "tool_use_failed", "status_code": 400}}
    reader = OpenAiAdapter().create_stream_reader(REQUEST)
    with pytest.raises(ProviderFailureError) as caught:
        reader.feed(f"event: error\ndata: {json.dumps(error)}\n\n".encode())
    assert caught.value.failure.http_status == 400


@pytest.mark.parametrize(
    "body",
    ["", "\n\n", DONE, ": ping\n\n", event(delta(content="half")), event(delta(content="a")) + DONE,
     event(delta(0, content="a", finish="stop")) + event(delta(1, content="b")), "<html></html>",
     event("not json"), event("3"), event({"choices": [3]}), "{", '{"choices": []}'],
)  # fmt: skip
def test_what_is_not_a_finished_stream(body):
    reader = OpenAiAdapter().create_stream_reader(REQUEST)
    with pytest.raises(MalformedAnswerError):  # noqa: PT012
        reader.feed(body.encode())
        reader.close()


def test_an_empty_finish_reason_is_none_yet():
    with pytest.raises(MalformedAnswerError):
        read(delta(content="a", finish=""))


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_whole_answer_instead_of_a_stream(size):
    call = {"id": "c", "function": {"name": "f", "arguments": "{}"}}
    answer = {"choices": [{"message": {"content": "a", "tool_calls": [call]}}],
              "usage": {"prompt_tokens": 1, "completion_tokens": 1}}  # fmt: skip
    body = b"\n \n" + json.dumps(answer).encode()
    reader = OpenAiAdapter().create_stream_reader(REQUEST)
    chunks = []
    for at in range(0, len(body), size):
        chunks += reader.feed(body[at : at + size])
    chunks += reader.close()
    assert parts(chunks)[0]["delta"]["tool_calls"][0]["index"] == 0
    assert parts(chunks)[0]["finish_reason"] == "tool_calls"
    assert chunks[-1].usage == Usage(input=1, output=1)


def test_an_error_document_instead_of_a_stream():
    reader = OpenAiAdapter().create_stream_reader(REQUEST)
    with pytest.raises(ProviderFailureError):
        reader.feed(b'{"error": {"code": 401, "message": "no"}}')


def test_sources_come_with_the_last_delta():
    chunks = read({**delta(content="a"), "citations": ["https://u"]}, STOP)
    assert parts(chunks)[-1]["delta"]["annotations"][0]["url_citation"]["url"] == "https://u"


def test_bytes_that_are_not_utf8_are_repaired():
    reader = OpenAiAdapter().create_stream_reader(REQUEST)
    chunks = reader.feed(b'data: {"choices":[{"index":0,"delta":{"content":"a\xff"}}]}\n\n')
    assert parts(chunks)[0]["delta"]["content"] == "a�"


def test_a_call_that_is_no_list():
    assert calls({"id": "c", "function": {"name": "f", "arguments": "{}"}}) == [["c", "f", "{}"]]
    call = {"id": "c", "function": {"name": "f", "arguments": "{}"}}
    found = parts(read(delta(tool_calls=call), delta(finish="stop")))
    assert found[0]["delta"]["tool_calls"][0]["function"]["name"] == "f"
    assert found[-1]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("asked", [{"reasoning": {"exclude": True}}, {"include_reasoning": False}])
@pytest.mark.parametrize(
    "said",
    [
        ({"reasoning_content": "T"}, {"content": "A"}),
        ({"reasoning": "T", "reasoning_details": [{"type": "x"}]}, {"content": "A"}),
        ({"content": "<think>T"}, {"content": "</think>A"}),
        ({"content": "A"}, {"reasoning": "T"}),
    ],
)
def test_reasoning_the_caller_excluded(asked, said):
    request = CompletionRequest(body={"messages": [], **asked}, model="m", stream=True)
    found = parts(read(*(delta(**one) for one in said), delta(finish="stop"), request=request))
    assert "".join(part["delta"].get("content") or "" for part in found) == "A"
    assert not any({"reasoning", "reasoning_details"} & {*part["delta"]} for part in found)
    assert [part["delta"]["role"] for part in found if "role" in part["delta"]] == ["assistant"]


def test_excluded_reasoning_that_the_end_cuts_off():
    body = {"messages": [], "reasoning": {"exclude": True}}
    request = CompletionRequest(body=body, model="m", stream=True)
    found = parts(read(delta(content="<think>T</thi"), delta(finish="length"), request=request))
    assert not any("reasoning" in part["delta"] for part in found)


@pytest.mark.parametrize(
    "opener",
    [
        {"index": 1, "id": "", "type": "", "function": {"name": "", "arguments": ""}},
        {"index": 1},
        {"index": 1, "id": None, "function": None},
        {"index": 1, "id": "", "function": {"name": "g", "arguments": ""}},
        {"index": 1, "custom": {"name": "", "input": ""}, "function": {"name": ""}},
    ],
)
@pytest.mark.parametrize("follower", [{"id": "c2"}, {"id": "c2", "type": "function"}])
def test_the_vendors_id_is_kept_where_an_empty_opener_comes_first(opener, follower):
    entries = [
        {"index": 0, "id": "c1", "function": {"name": "f", "arguments": OBJECT}},
        opener,
        {"index": 1, **follower, "function": {"name": "g", "arguments": ""}},
        {"index": 1, "function": {"arguments": OBJECT}},
    ]
    assert calls(*entries) == [["c1", "f", OBJECT], ["c2", "g", OBJECT]]


def test_a_call_that_is_only_a_name_gets_an_id_and_arguments():
    [[call_id, *said]] = calls({"index": 0, "function": {"name": "f", "arguments": ""}})
    assert call_id.startswith("call_")
    assert said == ["f", "{}"]


def test_an_empty_custom_beside_a_function_is_no_custom_call():
    both = {"custom": {"input": "", "name": ""}, "function": {"name": "f", "arguments": OBJECT}}
    assert calls({"index": 0, "id": "c", "type": "function", **both}) == [["c", "f", OBJECT]]
