"""OpenAI's chat completions, and the base of its other operations."""

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import orjson

from workers.simulator.http import json_call
from workers.simulator.openai_shapes import (
    OpenAIWire,
    attachments_of,
    chunks,
    completion,
    event,
    text_of,
)
from workers.simulator.replies import count_tokens
from workers.simulator.wire import Head, Json, Reply, Request, Tool, invalid


class Operation(OpenAIWire):
    """An endpoint that takes a JSON object and never streams."""

    def read(self, head: Head, body: bytes) -> Request:
        call = json_call(body)
        try:
            return self.understand(call, head)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise invalid("The request does not have the shape of this endpoint's") from error

    @abstractmethod
    def understand(self, call: Json, head: Head) -> Request:
        """Return the request. Raises RefusedError, or any error of a wrong shape."""

    def events(self, request: Request, reply: Reply) -> Iterable[bytes]:
        yield self.answer(request, reply)


ATTACHMENT_TOKENS: Final = 85  # OpenAI's tokens of an image of low detail
DONE: Final = b"data: [DONE]\n\n"


class OpenAIChat(OpenAIWire):
    """POST /v1/chat/completions. The field of reasoning is DeepSeek's `reasoning_content`."""

    def read(self, head: Head, body: bytes) -> Request:
        del head
        call = json_call(body)
        messages = _messages(call)
        try:
            return _request(call, messages)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise invalid("The request does not have the shape of a chat completion") from error

    def answer(self, request: Request, reply: Reply) -> bytes:
        return orjson.dumps(completion(request, reply))

    def events(self, request: Request, reply: Reply) -> Iterable[bytes]:
        for chunk in chunks(request, reply):
            yield event(chunk)
        yield DONE


def _messages(call: Json) -> list[Json]:
    messages = call.get("messages")
    if not isinstance(messages, list) or not messages:
        raise invalid("Missing required parameter: 'messages'")
    if not all(isinstance(message, dict) for message in messages):
        raise invalid("Invalid type for 'messages': expected objects")
    return messages


def _request(call: Json, messages: list[Json]) -> Request:
    roles = [message["role"] for message in messages]
    requested = "user" in roles
    last = len(roles) - 1 - roles[::-1].index("user") if requested else 0
    texts = [text_of(message.get("content")) for message in messages]
    carried = [attachments_of(message.get("content")) for message in messages]
    return Request(
        model=call["model"],
        stream=bool(call.get("stream")),
        stream_usage=bool((call.get("stream_options") or {}).get("include_usage")),
        text=texts[last] if requested else "",
        tokens=sum(map(count_tokens, texts)) + ATTACHMENT_TOKENS * sum(map(len, carried)),
        attachments=carried[last] if requested else (),
        tools=_tools(call),
        forced_tool=_read_forced_tool(call.get("tool_choice")),
        tool_results=_tool_results(messages),
        format=_format(call.get("response_format")),
        max_tokens=_max_tokens(call),
        images="image" in (call.get("modalities") or ()),
        sound="audio" in (call.get("modalities") or ()),
    )


def _max_tokens(call: Json) -> int | None:
    limit = call.get("max_completion_tokens") or call.get("max_tokens")
    return None if limit is None else int(limit)


def _tools(call: Json) -> tuple[Tool, ...]:
    choice = call.get("tool_choice")
    if choice == "none":
        return ()
    functions = [tool["function"] for tool in call.get("tools") or () if "function" in tool]
    allowed = _read_allowed(choice)
    return tuple(
        Tool(each["name"], {"type": "object", **(each.get("parameters") or {})})
        for each in functions
        if allowed is None or each["name"] in allowed
    )


def _read_allowed(choice: Any) -> Collection[str] | None:
    """Return the names of the tools that a choice allows; None if it allows all of them."""
    if not isinstance(choice, Mapping) or choice["type"] != "allowed_tools":
        return None
    return {tool[tool["type"]]["name"] for tool in choice["allowed_tools"]["tools"]}


def _read_forced_tool(choice: Any) -> str | None:
    if isinstance(choice, Mapping):
        if choice["type"] == "allowed_tools":
            return "" if choice["allowed_tools"]["mode"] == "required" else None
        name: str = choice[choice["type"]]["name"]
        return name
    return "" if choice in ("required", "any") else None  # `any` is Mistral's word


def _tool_results(messages: list[Json]) -> tuple[str, ...]:
    results: list[str] = []
    for message in reversed(messages):
        if message["role"] != "tool":
            break
        results.insert(0, text_of(message.get("content")))
    return tuple(results)


def _format(requested: Any) -> Any:
    if not requested or requested["type"] == "text":
        return "text"
    return requested["json_schema"]["schema"] if requested["type"] == "json_schema" else "json"
