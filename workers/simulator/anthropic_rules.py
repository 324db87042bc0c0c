"""What Anthropic refuses, of what its clients get wrong most often."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from workers.simulator.anthropic_blocks import blocks_of
from workers.simulator.requests import Json, invalid
from workers.simulator.signatures import sign
from workers.simulator.wire import Head

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
    for number, block in _numbered(messages, "assistant"):
        if block["type"] == "thinking" and block["signature"] != sign(block["thinking"]):
            raise invalid(f"messages.{number}: Invalid `signature` in `thinking` block")


def _check_results(messages: list[Json]) -> None:
    """A result answers a call of the message before, and every call has one."""
    for before, message in pairwise(messages):
        called = {each["id"] for each in _of_type(before, "tool_use")}
        answered = {each["tool_use_id"] for each in _of_type(message, "tool_result")}
        if answered - called:
            raise invalid("messages: unexpected `tool_use_id` found in `tool_result` blocks")
        if called - answered:
            raise invalid("messages: `tool_use` ids were found without `tool_result` blocks")


def _numbered(messages: list[Json], role: str) -> Iterator[tuple[int, Json]]:
    for number, message in enumerate(messages):
        if message["role"] == role:
            yield from ((number, block) for block in blocks_of(message["content"]))


def _of_type(message: Json, kind: str) -> list[Json]:
    return [block for block in blocks_of(message["content"]) if block["type"] == kind]
