"""Recorded Messages requests, written by hand in OpenAI's form: they must mean the same.

What is long (images, schemas, texts) is taken from the recording itself.
"""

import json

import pytest

from broker.completion import CompletionRequest
from tests.contract.exchanges import find_exchange
from workers.adapters.anthropic import AnthropicAdapter
from workers.adapters.base import Upstream

BLOCKS = {"text", "image", "tool_use", "tool_result", "thinking"}


def meaning(value, key=None):
    """Bring the wire's several ways to say one thing into one."""
    if key in ("content", "system") and isinstance(value, str):
        value = [{"type": "text", "text": value}]
    if isinstance(value, list):
        return [meaning(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    said = {name: meaning(entry, name) for name, entry in value.items()}
    said.pop("description", None) if said.get("description") == "" else None
    if said.get("is_error") is False:
        del said["is_error"]
    if said.get("tool_choice") in ({"type": "auto"}, {"type": "auto", **PARALLEL}):
        del said["tool_choice"]  # the default
    return {
        name: entry
        for name, entry in said.items()
        if entry is not None and (name, entry) not in (("stream", False), ("citations", None))
    }


PARALLEL = {"disable_parallel_tool_use": False}


def openai_tool(tool, **more):
    function = {"name": tool["name"], "parameters": tool["input_schema"], **more}
    if tool.get("description"):
        function["description"] = tool["description"]
    kept = {name: tool[name] for name in ("cache_control", "defer_loading") if name in tool}
    return {"type": "function", "function": function, **kept}


def call(call_id, tool, /, **arguments):
    function = {"name": tool, "arguments": json.dumps(arguments)}
    return {"id": call_id, "type": "function", "function": function}


def tools_and_a_result(body):
    call_id = "toolu_016q9vtSd8CY2vnZSpEp1j4o"
    said = body["messages"][1]["content"][0]["text"]
    return {
        "max_tokens": 1024,
        "messages": [
            {"role": "user", "content": body["messages"][0]["content"]},
            {"role": "assistant", "content": said,
             "tool_calls": [call(call_id, "get_weather", location="San Francisco")]},
            {"role": "tool", "tool_call_id": call_id, "content": "Sunny as always!"},
        ],
        "tools": [openai_tool(tool) for tool in body["tools"]],
    }  # fmt: skip


def parallel_results_and_marks(body):
    user, assistant, results = body["messages"]
    ids = [block["id"] for block in assistant["content"][1:]]
    first, second = results["content"]
    mark = {"type": "ephemeral"}
    return {
        "max_tokens": 16000,
        "messages": [
            {"role": "system", "content": [{**body["system"][0]}]},
            {"role": "user", "content": user["content"]},
            {"role": "assistant", "content": assistant["content"][0]["text"],
             "tool_calls": [call(ids[0], "greet", name="Mirascope"),
                            call(ids[1], "answer_ultimate_question")]},
            {"role": "tool", "tool_call_id": ids[0], "content": first["content"]},
            {"role": "tool", "tool_call_id": ids[1],
             "content": [{"type": "text", "text": second["content"], "cache_control": mark}]},
        ],
        "tools": [openai_tool(tool) for tool in body["tools"]],
    }  # fmt: skip


def an_image_as_a_result(body):
    call_id = body["messages"][1]["content"][0]["id"]
    data = body["messages"][2]["content"][0]["content"][0]["source"]["data"]
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    return {
        "max_completion_tokens": 4096,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant"},
            {"role": "user", "content": "Take a screenshot of the desktop"},
            {"role": "assistant", "content": None,
             "tool_calls": [call(call_id, "computer", action="screenshot")]},
            {"role": "tool", "tool_call_id": call_id, "content": [image]},
        ],
        "tools": body["tools"],
    }  # fmt: skip


def a_prefill(body):
    return {
        "max_tokens": 10,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant"},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
        ],
    }


def an_image_by_url(body):
    text, image = body["messages"][0]["content"]
    url = image["source"]["url"]
    parts = [text, {"type": "image_url", "image_url": {"url": url, "detail": "auto"}}]
    return {"max_tokens": 4096, "messages": [{"role": "user", "content": parts}]}


def a_stop_and_a_mark(body):
    return {"max_tokens": 4096, "messages": body["messages"], "stop": "cool"}


def a_forced_tool(body):
    return {
        "max_tokens": 16000,
        "messages": [{"role": "system", "content": body["system"]}, *body["messages"]],
        "tools": [openai_tool(tool) for tool in body["tools"]],
        "tool_choice": {"type": "function", "function": {"name": body["tools"][0]["name"]}},
        "parallel_tool_calls": False,
    }


def a_forced_tool_and_a_stop(body):
    return {
        "max_tokens": 4096,
        "messages": [{"role": "developer", "content": body["system"]}, *body["messages"]],
        "tools": [openai_tool(tool) for tool in body["tools"]],
        "tool_choice": {"type": "function", "function": {"name": "structured_output"}},
        "stop": ["\nObservation:"],
    }


def a_schema_and_a_strict_tool(body):
    strict, loose = body["tools"]
    schema = body["output_config"]["format"]["schema"]
    return {
        "max_tokens": 4096,
        "messages": body["messages"],
        "tools": [openai_tool(strict, strict=True), openai_tool(loose)],
        "response_format": {"type": "json_schema", "json_schema": {
            "name": "city", "schema": schema, "strict": True}},
    }  # fmt: skip


def a_thinking_budget(body):
    return {
        "max_tokens": 2048,
        "messages": [{"role": "system", "content": body["system"]}, *body["messages"]],
        "reasoning": {"max_tokens": 1024},
        "top_p": 0.95,
        "stream": True,
    }


def adaptive_thinking(body):
    return {
        "max_tokens": 32000,
        "messages": [{"role": "system", "content": body["system"]}, *body["messages"]],
        "tools": [openai_tool(tool) for tool in body["tools"]],
        "reasoning": {"effort": "medium"},
        "user": body["metadata"]["user_id"],
        "stream": True,
    }


REQUESTS = [
    ("anthropic-chat-09acb772b8", tools_and_a_result),
    ("anthropic-chat-eb75074de0", parallel_results_and_marks),
    ("anthropic-chat-0e59b48bdc", an_image_as_a_result),
    ("anthropic-chat-c9b6076e38", an_image_as_a_result),
    ("anthropic-chat-137170b10e", a_prefill),
    ("anthropic-chat-41f8e57dc0", an_image_by_url),
    ("anthropic-chat-2e21744d85", a_stop_and_a_mark),
    ("anthropic-chat-da23b504b3", a_forced_tool),
    ("anthropic-chat-2d191ae4a7", a_forced_tool_and_a_stop),
    ("anthropic-chat-664e6649a7", a_schema_and_a_strict_tool),
    ("anthropic-chat-5c4b371c93", a_thinking_budget),
    ("anthropic-chat-dae9d416e8", adaptive_thinking),
]


@pytest.mark.parametrize(("name", "written"), REQUESTS, ids=[name for name, _ in REQUESTS])
def test_a_recorded_request_comes_out_the_same(name, written):
    wanted = find_exchange(name)["request"]["body"]
    request = CompletionRequest(written(wanted), wanted["model"], wanted.get("stream", False))
    to = Upstream(slug="anthropic", base_url="https://api.anthropic.com/v1")
    sent = meaning(json.loads(AnthropicAdapter().build_request(request, to).body))
    wanted.pop("context_management", None)  # Claude Code's own, without a word in OpenAI's form
    sent.get("thinking", {}).pop("display", None)  # said outright, because the default changed
    assert sent == meaning(wanted)
