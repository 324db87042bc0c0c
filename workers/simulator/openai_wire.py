"""OpenAI's chat completions: how a call is read and answered; the shapes are in `openai_shapes`."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from workers.simulator.openai_shapes import chunks, completion, envelope
from workers.simulator.replies import count_tokens
from workers.simulator.requests import Json, Refusal, Reply, Request, Tool, Wire, invalid

ATTACHMENT_TOKENS: Final = 85  # what OpenAI takes for an image of low detail
DONE: Final = b"data: [DONE]\n\n"


class OpenAIChat(Wire):
    """POST /v1/chat/completions. Reasoning is sent as DeepSeek does: `reasoning_content`."""

    def read(self, path: str, body: bytes) -> Request:
        del path
        call = _object(body)
        messages = _messages(call)
        try:
            return _request(call, messages)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise invalid("The request does not have the shape of a chat completion") from error

    def refuse(self, refusal: Refusal) -> bytes:
        return orjson.dumps(envelope(refusal))

    def answer(self, request: Request, reply: Reply) -> bytes:
        return orjson.dumps(completion(request, reply))

    def events(self, request: Request, reply: Reply) -> Iterable[bytes]:
        for chunk in chunks(request, reply):
            yield _event(chunk)
        yield DONE

    def error_event(self, refusal: Refusal) -> bytes:
        return _event(envelope(refusal))


def _event(data: Json) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(data)


def _object(body: bytes) -> Json:
    try:
        call = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid("We could not parse the JSON body of your request") from error
    if not isinstance(call, dict) or not isinstance(call.get("model"), str):
        raise invalid("you must provide a model parameter")
    return call


def _messages(call: Json) -> list[Json]:
    messages = call.get("messages")
    if not isinstance(messages, list) or not messages:
        raise invalid("Missing required parameter: 'messages'")
    if not all(isinstance(message, dict) for message in messages):
        raise invalid("Invalid type for 'messages': expected objects")
    return messages


def _request(call: Json, messages: list[Json]) -> Request:
    last = next((message for message in reversed(messages) if message["role"] == "user"), {})
    texts = [_text(message.get("content")) for message in messages]
    attachments = sum(_attachments(message.get("content")) for message in messages)
    return Request(
        model=call["model"],
        stream=bool(call.get("stream")),
        stream_usage=bool((call.get("stream_options") or {}).get("include_usage")),
        text=_text(last.get("content")),
        tokens=sum(map(count_tokens, texts)) + ATTACHMENT_TOKENS * attachments,
        attachments=_attachments(last.get("content")),
        tools=_tools(call),
        forced_tool=_forced_tool(call.get("tool_choice")),
        tool_results=_tool_results(messages),
        format=_format(call.get("response_format")),
        max_tokens=_max_tokens(call),
    )


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content or ()
    return "\n".join(part["text"] for part in parts if part["type"] == "text")


def _attachments(content: Any) -> int:
    if isinstance(content, list):
        return sum(part["type"] not in ("text", "refusal") for part in content)
    return 0


def _max_tokens(call: Json) -> int | None:
    limit = call.get("max_completion_tokens") or call.get("max_tokens")
    return None if limit is None else int(limit)


def _tools(call: Json) -> tuple[Tool, ...]:
    if call.get("tool_choice") == "none":
        return ()
    functions = [tool["function"] for tool in call.get("tools") or () if "function" in tool]
    return tuple(
        Tool(each["name"], {"type": "object", **(each.get("parameters") or {})})
        for each in functions
    )


def _forced_tool(choice: Any) -> str | None:
    if isinstance(choice, Mapping):
        name: str = choice["function"]["name"]
        return name
    return "" if choice == "required" else None


def _tool_results(messages: list[Json]) -> tuple[str, ...]:
    results: list[str] = []
    for message in reversed(messages):
        if message["role"] != "tool":
            break
        results.insert(0, _text(message.get("content")))
    return tuple(results)


def _format(asked: Any) -> Any:
    if not asked or asked["type"] == "text":
        return "text"
    return asked["json_schema"]["schema"] if asked["type"] == "json_schema" else "json"
