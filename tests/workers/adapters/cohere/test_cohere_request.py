import json

import pytest

from broker.completion import CompletionRequest
from workers.adapters.base import Upstream
from workers.adapters.cohere import CohereAdapter

HELLO = [{"role": "user", "content": "hello"}]
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
OTHER = {"type": "function", "function": {"name": "time"}}
UPSTREAM = Upstream("cohere", "https://api.cohere.com", api_key="key", headers={"X-A": "b"})


def sent(upstream=UPSTREAM, stream=False, **body):
    request = CompletionRequest({"messages": HELLO, **body}, "command-a", stream=stream)
    return CohereAdapter().build_request(request, upstream)


def told(**body):
    return json.loads(sent(**body).body)


def test_address_and_headers():
    request = sent(stream=True)
    assert request.url == "https://api.cohere.com/v2/chat"
    assert request.headers == {
        "content-type": "application/json",
        "accept": "text/event-stream",
        "authorization": "Bearer key",
        "x-a": "b",
    }
    assert sent(Upstream("cohere", "https://proxy/v2")).url == "https://proxy/v2/chat"


def test_a_plain_request():
    assert told() == {"model": "command-a", "messages": HELLO, "stream": False}


PARAMETERS = [
    ({"top_p": 1, "top_k": 900}, {"p": 0.99, "k": 500}),
    ({"temperature": 0, "seed": 7}, {"temperature": 0, "seed": 7}),
    ({"frequency_penalty": -2, "presence_penalty": 2},
     {"frequency_penalty": 0, "presence_penalty": 1}),
    ({"max_tokens": 9, "max_completion_tokens": 5}, {"max_tokens": 5}),
    ({"stop": "a"}, {"stop_sequences": ["a"]}),
    ({"stop": [*"abcde", ""]}, {"stop_sequences": list("abcde")}),
    ({"logprobs": True, "top_logprobs": 3}, {"logprobs": True}),
    ({"n": 2, "user": "u", "logit_bias": {}, "parallel_tool_calls": True}, {}),
    ({"safety_mode": "STRICT"}, {"safety_mode": "STRICT"}),
    ({"documents": ["a"]}, {"documents": ["a"]}),
    ({"response_format": {"type": "text"}}, {}),
    ({"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": WEATHER}}},
     {"response_format": {"type": "json_object", "json_schema": WEATHER}}),
    ({"reasoning": {"effort": "none"}}, {"thinking": {"type": "disabled"}}),
    ({"reasoning": {"enabled": False}}, {"thinking": {"type": "disabled"}}),
    ({"reasoning": {"max_tokens": 50}}, {"thinking": {"type": "enabled", "token_budget": 50}}),
    ({"reasoning_effort": "low", "max_tokens": 100},
     {"max_tokens": 100, "thinking": {"type": "enabled", "token_budget": 20}}),
    ({"reasoning": {"enabled": True}}, {"thinking": {"type": "enabled"}}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "wanted"), PARAMETERS)
def test_parameters(body, wanted):
    assert told(**body) == {"model": "command-a", "messages": HELLO, "stream": False, **wanted}


def own(name, parameters=None):
    schema = parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


BOTH = [own("weather", WEATHER), own("time")]
TOOLS = [
    ({"tools": []}, {}),
    ({"tool_choice": "required"}, {}),
    ({"tools": [TOOL, OTHER]}, {"tools": BOTH}),
    ({"tools": [TOOL, OTHER], "tool_choice": "auto"}, {"tools": BOTH}),
    ({"tools": [TOOL, OTHER], "tool_choice": "none"}, {"tools": BOTH, "tool_choice": "NONE"}),
    ({"tools": [TOOL, OTHER], "tool_choice": "required"},
     {"tools": BOTH, "tool_choice": "REQUIRED"}),
    ({"tools": [TOOL, OTHER], "tool_choice": {"type": "function", "function": {"name": "time"}}},
     {"tools": [own("time")], "tool_choice": "REQUIRED"}),
    ({"tools": [TOOL, OTHER], "tool_choice": {"type": "allowed_tools", "allowed_tools": {
        "mode": "auto", "tools": [{"type": "function", "function": {"name": "time"}}]}}},
     {"tools": [own("time")]}),
    ({"tools": [{"type": "function", "function": {**TOOL["function"], "strict": True}}]},
     {"tools": [own("weather", WEATHER)], "strict_tools": True}),
    # Cohere refuses a response format beside tools.
    ({"tools": [TOOL], "response_format": {"type": "json_object"}},
     {"tools": [own("weather", WEATHER)]}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "wanted"), TOOLS)
def test_tools(body, wanted):
    assert told(**body) == {"model": "command-a", "messages": HELLO, "stream": False, **wanted}


CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
MESSAGES = [
    ({"role": "developer", "content": "be"}, {"role": "system", "content": "be"}),
    ({"role": "user", "content": [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}}]},
     {"role": "user", "content": [
         {"type": "text", "text": "a"},
         {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}}]}),
    ({"role": "assistant", "content": "hi", "reasoning": "thought", "name": "n"},
     {"role": "assistant", "content": "hi"}),
    ({"role": "assistant", "content": None, "reasoning": "I will look", "tool_calls": [CALL]},
     {"role": "assistant", "tool_calls": [CALL], "tool_plan": "I will look"}),
    ({"role": "tool", "tool_call_id": "c1", "content": "15", "name": "weather"},
     {"role": "tool", "tool_call_id": "c1", "content": "15"}),
    ({"role": "tool", "tool_call_id": "c1", "content": [
        {"type": "document", "document": {"data": "15"}}]},
     {"role": "tool", "tool_call_id": "c1", "content": [
         {"type": "document", "document": {"data": "15"}}]}),
]  # fmt: skip


@pytest.mark.parametrize(("message", "wanted"), MESSAGES)
def test_messages(message, wanted):
    assert told(messages=[message])["messages"] == [wanted]


def test_documents_of_a_user_join_those_of_the_request():
    document = {"id": "d", "data": {"text": "t"}}
    content = [{"type": "document", "document": document}, {"type": "text", "text": "a"}]
    body = told(messages=[{"role": "user", "content": content}], documents=["first"])
    assert body["documents"] == ["first", document]
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
