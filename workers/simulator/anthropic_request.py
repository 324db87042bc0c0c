"""Reading and checks of a call of the Messages API."""

from collections.abc import Iterator
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final

import orjson

from workers.simulator.replies import count_tokens, inline, read_link, sign
from workers.simulator.wire import Attachment, AttachmentKind, Head, Json, Request, Tool, invalid

ATTACHMENT_TOKENS: Final = 85
CARRIERS: Final[dict[str, AttachmentKind]] = {"image": "image", "document": "document"}


def blocks_of(content: Any) -> list[Json]:
    """Return the blocks of a system prompt, a message or a tool result."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return list(content or ())


def whole_prompt(call: Json) -> Iterator[Json]:
    """Return every block in the order in which Anthropic reads and caches them."""
    yield from call.get("tools") or ()
    yield from blocks_of(call.get("system"))
    for message in call["messages"]:
        yield from blocks_of(message["content"])


def text_of(blocks: list[Json]) -> str:
    return "\n".join(block["text"] for block in blocks if block.get("type") == "text")


def attachments_of(blocks: list[Json]) -> tuple[Attachment, ...]:
    return tuple(_attachment(block) for block in blocks if block["type"] in CARRIERS)


def weight(block: Json) -> int:
    """Return the tokens of a block. Earlier thoughts are not counted."""
    match block.get("type"):
        case "text":
            return count_tokens(block["text"])
        case "image" | "document":
            return ATTACHMENT_TOKENS
        case "tool_result":
            return sum(map(weight, blocks_of(block.get("content"))))
        case "tool_use":
            return count_tokens(block["name"] + orjson.dumps(block["input"]).decode())
        case "thinking" | "redacted_thinking":
            return 0
    return count_tokens(orjson.dumps(block).decode())


def _attachment(block: Json) -> Attachment:
    source = block["source"]
    kind = CARRIERS[block["type"]]
    match source["type"]:
        case "base64":
            return inline(source["media_type"], source["data"])
        case "url":
            return read_link(source["url"], kind)
        case "text":
            return Attachment(kind, source["media_type"], len(source["data"].encode()))
        case "file":
            return Attachment(kind, source["file_id"])
        case "content":
            return Attachment(kind, "content blocks")
    raise ValueError(source["type"])


REMEMBERED: Final = 10_000  # prefixes; then it starts again


class PromptCache:
    """Cached prefixes of prompts. They have no minimum length, for the sake of short tests."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def look(self, call: Json) -> tuple[int, int]:
        """Return the tokens read from the cache and the tokens written to it."""
        digest, tokens, read, marked = blake2b(call["model"].encode(), digest_size=16), 0, 0, 0
        new: list[bytes] = []
        for block in whole_prompt(call):
            plain = {key: value for key, value in block.items() if key != "cache_control"}
            digest.update(orjson.dumps(plain))
            tokens += weight(block)
            if digest.digest() in self._seen:
                read = tokens
            if block.get("cache_control"):
                marked = tokens
                new.append(digest.digest())
        if call.get("cache_control"):
            marked = tokens
            new.append(digest.digest())
        self._remember(new)
        return (read, max(marked - read, 0)) if new else (0, 0)

    def _remember(self, prefixes: list[bytes]) -> None:
        if len(self._seen) > REMEMBERED:
            self._seen.clear()
        self._seen.update(prefixes)


FOREIGN: Final = (  # parameters of OpenAI's
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "n",
    "parallel_tool_calls",
    "presence_penalty",
    "reasoning",
    "reasoning_effort",
    "response_format",
    "seed",
    "stop",
    "stream_options",
    "user",
)
LEAST_THINKING: Final = 1024


def check(head: Head, call: Json) -> None:
    """Raise RefusedError where a rule is broken."""
    if not (head.header(b"anthropic-version") or call.get("anthropic_version")):
        raise invalid("anthropic-version: header is required")
    for name in FOREIGN:
        if name in call:
            raise invalid(f"{name}: Extra inputs are not permitted")
    _check_limits(call)
    _check_messages(call.get("messages"))
    _check_thoughts(call["messages"])
    _check_results(call["messages"])


def _check_limits(call: Json) -> None:
    limit = call.get("max_tokens")
    if not isinstance(limit, int) or limit < 1:
        raise invalid("max_tokens: Field required")
    thinking = call.get("thinking") or {}
    if thinking.get("type") == "enabled":
        budget = thinking["budget_tokens"]
        if budget < LEAST_THINKING:
            raise invalid("thinking.enabled.budget_tokens: Input should be at least 1024")
        if budget >= limit:
            raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`")


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list) or not messages:
        raise invalid("messages: at least one message is required")
    for number, message in enumerate(messages):
        if message["role"] not in ("user", "assistant"):
            raise invalid(f'messages: Unexpected role "{message["role"]}"')
        if not message["content"] and (number, message["role"]) != (len(messages) - 1, "assistant"):
            raise invalid(f"messages.{number}: all messages must have non-empty content")
    if messages[0]["role"] != "user":
        raise invalid("messages: first message must use the user role")


def _check_thoughts(messages: list[Json]) -> None:
    for number, block in _number_blocks(messages, "assistant"):
        if block["type"] == "thinking" and block["signature"] != sign(block["thinking"]):
            raise invalid(f"messages.{number}: Invalid `signature` in `thinking` block")


def _check_results(messages: list[Json]) -> None:
    """Check that each result has a call in the message before, and each call a result."""
    for before, message in pairwise(messages):
        called = {each["id"] for each in _of_type(before, "tool_use")}
        answered = {each["tool_use_id"] for each in _of_type(message, "tool_result")}
        if answered - called:
            raise invalid("messages: unexpected `tool_use_id` found in `tool_result` blocks")
        if called - answered:
            raise invalid("messages: `tool_use` ids were found without `tool_result` blocks")


def _number_blocks(messages: list[Json], role: str) -> Iterator[tuple[int, Json]]:
    for number, message in enumerate(messages):
        if message["role"] == role:
            yield from ((number, block) for block in blocks_of(message["content"]))


def _of_type(message: Json, kind: str) -> list[Json]:
    return [block for block in blocks_of(message["content"]) if block["type"] == kind]


THINKING: Final = ("enabled", "adaptive")


def understand(call: Json, cache: PromptCache) -> Request:
    last = _last_user_blocks(call["messages"])
    choice = call.get("tool_choice") or {}
    cached, caching = cache.look(call)
    return Request(
        model=call["model"],
        stream=bool(call.get("stream")),
        text=text_of(last),
        tokens=sum(map(weight, whole_prompt(call))),
        attachments=attachments_of(last),
        tools=_tools(call, choice),
        forced_tool=_read_forced_tool(choice),
        tool_results=_tool_results(call["messages"][-1]),
        format=_format(call),
        max_tokens=call["max_tokens"],
        thoughts=(call.get("thinking") or {}).get("type") in THINKING,
        cached=cached,
        caching=caching,
    )


def _last_user_blocks(messages: list[Json]) -> list[Json]:
    """Return the blocks of the last user message that has more than tool results."""
    for message in reversed(messages):
        found = [each for each in blocks_of(message["content"]) if each["type"] != "tool_result"]
        if message["role"] == "user" and found:
            return found
    return []


def _tools(call: Json, choice: Json) -> tuple[Tool, ...]:
    if choice.get("type") == "none":
        return ()
    tools = tuple(
        Tool(tool["name"], {"type": "object", **tool["input_schema"]})
        for tool in call.get("tools") or ()
        if "input_schema" in tool  # the others are the provider's own
    )
    if choice.get("disable_parallel_tool_use") and choice["type"] != "tool":
        return tools[:1]
    return tools


def _read_forced_tool(choice: Json) -> str | None:
    match choice.get("type"):
        case "tool":
            return str(choice["name"])
        case "any":
            return ""
    return None


def _tool_results(last: Json) -> tuple[str, ...]:
    return tuple(
        text_of(blocks_of(block.get("content")))
        for block in blocks_of(last["content"])
        if block["type"] == "tool_result"
    )


def _format(call: Json) -> Any:
    """Return the requested schema: `output_config.format`, or `output_format` of the beta."""
    requested = (call.get("output_config") or {}).get("format") or call.get("output_format")
    return requested["schema"] if requested else "text"
