"""Puts the chunks of a stream together again, as a client does."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from broker.completion import Chunk, Usage
from tests.contract.oracles import Counts, Said


def fold(chunks: Iterable[Chunk]) -> tuple[list[dict[str, Any]], Usage | None]:
    """Return the choices with their messages, and the usage; checks what every stream promises."""
    choices: dict[int, dict[str, Any]] = {}
    usages: list[Usage] = []
    for chunk in chunks:
        assert not usages, "something came after the usage"
        for part in chunk.choices:
            fold_choice(choices.setdefault(part["index"], {"message": None}), part)
        usages += [chunk.usage] if chunk.usage else []
    for index, choice in choices.items():
        assert choice.get("finish_reason"), f"choice {index} never finished"
    return [choices[index] | {"index": index} for index in sorted(choices)], (usages or [None])[0]


def fold_choice(choice: dict[str, Any], part: dict[str, Any]) -> None:
    delta = part["delta"]
    assert "finish_reason" not in choice, "something came after the finish reason"
    if choice["message"] is None:
        assert delta["role"] == "assistant"
        choice["message"] = {"role": "assistant", "content": None}
    else:
        assert "role" not in delta, "the role came twice"
    message = choice["message"]
    for name in ("content", "reasoning", "refusal"):
        if delta.get(name) is not None:
            message[name] = (message.get(name) or "") + delta[name]
    for name in ("annotations", "images", "reasoning_details"):
        if delta.get(name):
            message[name] = message.get(name, []) + delta[name]
    if call := delta.get("function_call"):
        kept = message.setdefault("function_call", {"name": "", "arguments": ""})
        for name, value in call.items():
            kept[name] += value
    for call in delta.get("tool_calls") or ():
        fold_call(message.setdefault("tool_calls", []), call)
    if part["finish_reason"] is not None:
        choice |= {n: part.get(n) for n in ("finish_reason", "native_finish_reason")}


def fold_call(calls: list[dict[str, Any]], delta: dict[str, Any]) -> None:
    if delta["index"] == len(calls):
        calls.append({name: value for name, value in delta.items() if name != "index"})
        assert calls[-1]["id"]
        assert calls[-1][calls[-1]["type"]]["name"]
        return
    assert delta["index"] == len(calls) - 1 or "id" not in delta
    call = calls[delta["index"]]
    kind = call["type"]
    text = "arguments" if kind == "function" else "input"
    call[kind] = call[kind] | {text: call[kind][text] + delta[kind][text]}


def said(choices: Sequence[dict[str, Any]]) -> tuple[Said, ...]:
    """Return choices in the oracles' words."""
    return tuple(_said(choice) for choice in choices)


def counts(usage: Usage | None) -> Counts | None:
    """Return a usage in the oracles' words."""
    if usage is None:
        return None
    return Counts(
        prompt=None if usage.input is None else usage.prompt_tokens,
        completion=usage.output,
        cached=usage.cache_read,
        reasoning=usage.reasoning,
        cost_nanos=usage.cost_nanos,
    )


def _said(choice: dict[str, Any]) -> Said:
    message = choice["message"]
    calls = [_call(call) for call in message.get("tool_calls") or ()]
    if function := message.get("function_call"):
        calls.append((function["name"], json.loads(function["arguments"])))
    return Said(
        content=message.get("content") or "",
        reasoning=message.get("reasoning") or "",
        calls=tuple(calls),
        finish=choice["finish_reason"],
    )


def _call(call: dict[str, Any]) -> tuple[str, Any]:
    if call["type"] == "custom":
        return call["custom"]["name"], call["custom"]["input"]
    return call["function"]["name"], json.loads(call["function"]["arguments"])
