import json

import pytest

from broker.completion import CompletionRequest
from workers.adapters.base import Upstream
from workers.adapters.mistral import MistralAdapter
from workers.adapters.mistral.request import chat_messages

HELLO = [{"role": "user", "content": "hello"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
UPSTREAM = Upstream("mistral", "https://api.mistral.ai/v1", api_key="key")


def request(model="mistral-small-latest", stream=False, **body):
    return CompletionRequest({"messages": HELLO, **body}, model, stream=stream)


def told(*args, **body):
    return json.loads(MistralAdapter().build_request(request(*args, **body), UPSTREAM).body)


def test_address():
    sent = MistralAdapter().build_request(request(), UPSTREAM)
    assert sent.url == "https://api.mistral.ai/v1/chat/completions"
    assert sent.headers["authorization"] == "Bearer key"


PARAMETERS = [
    ({"seed": 7, "max_completion_tokens": 5}, {"random_seed": 7, "max_tokens": 5}),
    ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
    # What Mistral does not know it refuses, and so is not told.
    ({"logprobs": True, "top_k": 3, "logit_bias": {}, "user": "u", "store": True, "seed": None},
     {}),
    ({"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
     {"tools": [TOOL], "tool_choice": "any", "parallel_tool_calls": False}),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
     {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}}),
    ({"tools": [], "tool_choice": "none", "parallel_tool_calls": True}, {}),
    ({"tools": [{"type": "function", "function": {"name": "f"}, "cache_control": {}}]},
     {"tools": [TOOL]}),
    ({"reasoning": {"effort": "medium"}}, {"reasoning_effort": "high"}),
    ({"reasoning": {"enabled": False}}, {"reasoning_effort": "none"}),
    ({"reasoning_effort": "minimal"}, {"reasoning_effort": "none"}),
    ({"response_format": {"type": "json_object"}, "safe_prompt": True},
     {"response_format": {"type": "json_object"}, "safe_prompt": True}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "wanted"), PARAMETERS)
def test_parameters(body, wanted):
    body = dict(body)
    stream = body.pop("stream", False)
    model = "mistral-small-latest"
    assert told(model, stream, **body) == {"model": model, "messages": HELLO, **wanted}


def test_magistral_reasons_anyway():
    assert "reasoning_effort" not in told("magistral-medium-latest", reasoning={"effort": "high"})


def call(call_id):
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}}


PDF = "data:application/pdf;base64,JVBERi0x"
MESSAGES = [
    ([{"role": "developer", "content": "be"}, {"role": "user", "content": "a", "name": "n"}],
     [{"role": "system", "content": "be"}, {"role": "user", "content": "a"}]),
    ([*HELLO, {"role": "assistant", "content": "So", "reasoning": "hm", "refusal": None}],
     [*HELLO, {"role": "assistant", "content": "So", "prefix": True}]),
    ([{"role": "user", "content": [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}},
        {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}},
        {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}}]}],
     [{"role": "user", "content": [
         {"type": "text", "text": "a"},
         {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
         {"type": "document_url", "document_url": PDF, "document_name": "a.pdf"},
         {"type": "document_url", "document_url": "https://x/y.pdf"},
         {"type": "input_audio", "input_audio": "QQ=="}]}]),
]  # fmt: skip


@pytest.mark.parametrize(("messages", "wanted"), MESSAGES)
def test_messages(messages, wanted):
    assert told(messages=messages)["messages"] == wanted


def test_a_tool_loop():
    messages = told(
        messages=[
            *HELLO,
            {"role": "assistant", "content": None, "tool_calls": [call("call_long_one")]},
            {"role": "tool", "tool_call_id": "call_long_one", "content": "1"},
            *HELLO,
        ]
    )["messages"]
    short = messages[1]["tool_calls"][0]["id"]
    assert len(short) == 9
    assert messages[2]["tool_call_id"] == short
    # A user may not speak right after a tool.
    assert [message["role"] for message in messages] == [
        "user", "assistant", "tool", "assistant", "user"
    ]  # fmt: skip


PARTS = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
    {"type": "text", "text": "It is"},
    {"type": "reference", "reference_ids": [0, "x"]},
    {"type": "text", "text": "."},
]
RESULTS = {
    "role": "tool",
    "tool_call_id": "1",
    "content": '{"0": {"url": "https://x", "title": "X"}}',
}


def note(url, title):
    cited = {"url": url, "title": title, "start_index": 5, "end_index": 5}
    return {"type": "url_citation", "url_citation": cited}


def test_lists_of_parts():
    wanted = {"content": "It is.", "reasoning": "hm",
              "annotations": [note("https://x", "X"), note("x", "Reference x")]}  # fmt: skip
    message = {"role": "assistant", "content": PARTS}
    body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
    asked = request(messages=[*HELLO, RESULTS])
    read = MistralAdapter().read_response(body, asked).choices[0]["message"]
    assert {name: read[name] for name in wanted} == wanted

    reader = MistralAdapter().create_stream_reader(asked)
    folded = {"content": "", "reasoning": "", "annotations": []}
    for part in PARTS:
        choice = {"index": 0, "delta": {"content": [part]}, "finish_reason": None}
        event = f"data: {json.dumps({'choices': [choice]})}\n\n".encode()
        for chunk in reader.feed(event):
            said = chunk.choices[0]["delta"]
            folded = {name: value + said.get(name, value[:0]) for name, value in folded.items()}
    last = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
    assert (reader.feed(last) + reader.close())[-1].choices[0]["finish_reason"] == "stop"
    assert folded == wanted


def test_another_providers_signatures_are_not_sent():
    call = {"id": "abcABC123", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    signed = call | {"extra_content": {"google": {"thought_signature": "s"}}}
    said = {"role": "assistant", "content": None, "tool_calls": [signed]}
    assert chat_messages([said])[0]["tool_calls"] == [call]
