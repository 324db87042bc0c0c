"""The input of a response as its items, and the messages that a later turn continues."""

from collections.abc import Sequence
from typing import Any

import orjson

from broker.completion import Json
from broker.dialects.responses import ids
from broker.dialects.responses.item_schemas import find_kind

_CONTINUED = ("role", "content", "refusal", "tool_calls", "reasoning_details")
"""The fields of an answer's message that a later request has."""

_PREFIXES = {
    "function_call": "fc", "function_call_output": "fco", "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco", "reasoning": "rs",
    "tool_search_call": "tsc", "tool_search_output": "tso",
}  # fmt: skip


def list_input(body: Json, job_id: str) -> list[Json]:
    """Return the items of a body's input in their order, each with an id and a type."""
    given: Any = body.get("input") or []
    if isinstance(given, str):
        given = [{"role": "user", "content": [{"type": "input_text", "text": given}]}]
    return [_render(item, job_id, place) for place, item in enumerate(given)]


def _render(item: Json, job_id: str, place: int) -> Json:
    kind = find_kind(item)
    shown: Json = {**item, "type": kind}
    if kind == "message" and isinstance(item.get("content"), str):
        side = "output_text" if item["role"] == "assistant" else "input_text"
        part: Json = {"type": side, "text": item["content"]}
        shown["content"] = [part | ({"annotations": []} if side == "output_text" else {})]
    if not item.get("id"):  # attempt 0: an item of the input, not of an answer
        shown["id"] = ids.item_id(_PREFIXES.get(kind, "msg"), job_id, 0, place)
    return shown


def continue_turn(request: Json, extra: Json, answer: Json) -> list[Json]:
    """Return the messages of an ended turn that the next turn begins with.

    `request` is its stored chat body, `extra` what is stored with its job, and `answer` its chat
    completion. Instructions and the prompt of a preset are for one turn only.
    """
    messages: Sequence[Json] = request.get("messages") or ()
    own = [name for name in ("preset_prompt", "is_instructed") if extra.get(name)]
    for _ in own:
        if messages and messages[0].get("role") in ("system", "developer"):
            messages = messages[1:]
    choices = answer.get("choices") or ()
    message = choices[0].get("message") if choices else None
    said = {name: message[name] for name in _CONTINUED if message and message.get(name)}
    if not said.get("content") and not said.get("tool_calls"):
        said = said | {"content": said.get("content") or ""}
    return [*messages, {"role": "assistant", "content": None, **said}]


def read_object(stored: bytes | str | None) -> Json:
    """Return a stored JSON object; an empty one if it was deleted."""
    found = orjson.loads(stored) if stored else {}
    return found if isinstance(found, dict) else {}
