"""Content of a chat body that is native to one wire, and what other wires get instead. Pure.

Chat cannot express all that a wire can. A body keeps the rest in these places, each with the name
of its `wire`:

    body      "native": {"wire", "fields": {…}, "betas": […]}   more fields of the request
    message   "native": {"wire", "role": "system"}   instructions that stay within the turns
              "native": {"wire", "content": […]}   its whole content, in the order of its blocks
              "native": {"wire", "fields": {…}}    more fields of a tool result
    part      {"type": "native", "wire", "block": {…}, "instead": […], "field"}
    tool      {"type": "native", "wire", "tool": {…}, "field"}
    function  "native": {"wire", "fields": {…}}    more fields of a function tool

A part has `instead`, the text parts for other wires, or it requires its wire, as a tool does.
`field` names it in the caller's body. In an answer, a choice has `native`:

    "native": {"wire", "content": […], "fields": {…}}   the blocks and fields of the whole answer
    "native": {"wire", "events": […]}                   in a chunk: what chat cannot express
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from broker.completion import Json

NATIVE = "native"
REQUIRED_FIELDS = frozenset({"container", "mcp_servers"})
"""Fields of a request that the answer depends on: other wires cannot serve it."""

TRANSLATED_FIELDS = frozenset({"thinking", "output_config"})
"""Fields that the chat body expresses for other wires, as far as it can."""


@dataclass(frozen=True, slots=True)
class RequiredWire:
    """A wire without which a body cannot be served, and the field that requires it."""

    wire: str
    field: str
    kind: str  # of the content, in the wire's words


def read_native(holder: Any, wire: str) -> Json:
    """Return what a body, message, function or choice holds for a wire; empty without any."""
    native = holder.get(NATIVE) if isinstance(holder, dict) else None
    return native if isinstance(native, dict) and native.get("wire") == wire else {}


def read_fields(holder: Any, wire: str) -> Json:
    """Return the more fields that a body, message or function has for a wire."""
    fields = read_native(holder, wire).get("fields")
    return fields if isinstance(fields, dict) else {}


def is_native(entry: Any) -> bool:
    """Return whether a part or a tool is native to a wire."""
    return isinstance(entry, dict) and entry.get("type") == NATIVE


def find_required_wires(body: Json) -> Sequence[RequiredWire]:
    """Return the wires that a body requires, each with the first field that does."""
    found: dict[str, RequiredWire] = {}
    for each in _list_required(body):
        found.setdefault(each.wire, each)
    return tuple(found.values())


def find_unread(body: Json, wire: str) -> Sequence[str]:
    """Return the fields and betas of the caller's body that an endpoint of a wire does not read."""
    native = body.get(NATIVE)
    if not isinstance(native, dict) or native.get("wire") == wire:
        return ()
    fields = [name for name in native.get("fields") or () if name not in TRANSLATED_FIELDS]
    return [*fields, *(f"anthropic-beta: {beta}" for beta in native.get("betas") or ())]


def resolve(body: Json, wire: str) -> Json:
    """Return a chat body for an endpoint of a wire, without what is native to other wires."""
    kept = {name: value for name, value in body.items() if name != NATIVE or _is_of(value, wire)}
    if isinstance(messages := body.get("messages"), list):
        kept["messages"] = [_resolve_message(message, wire) for message in messages]
    if isinstance(tools := body.get("tools"), list):
        kept["tools"] = [_without(tool, wire) for tool in tools if not _is_foreign(tool, wire)]
    return kept


def _is_of(native: Any, wire: str) -> bool:
    return isinstance(native, dict) and native.get("wire") == wire


def _is_foreign(entry: Any, wire: str) -> bool:
    return is_native(entry) and entry.get("wire") != wire


def _without(holder: Any, wire: str) -> Any:
    """Return a message or tool without what it holds for other wires."""
    if not isinstance(holder, dict) or NATIVE not in holder or _is_of(holder[NATIVE], wire):
        return holder
    return {name: value for name, value in holder.items() if name != NATIVE}


def _resolve_message(message: Any, wire: str) -> Any:
    message = _without(message, wire)
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list) or not any(_is_foreign(part, wire) for part in content):
        return message
    return {**message, "content": [each for part in content for each in _expand(part, wire)]}


def _expand(part: Any, wire: str) -> Sequence[Any]:
    return part.get("instead") or () if _is_foreign(part, wire) else (part,)


def _list_required(body: Json) -> Iterator[RequiredWire]:
    native = body.get(NATIVE)
    if isinstance(native, dict):
        for name in native.get("fields") or ():
            if name in REQUIRED_FIELDS:
                yield RequiredWire(str(native.get("wire")), name, name)
    tools = body.get("tools")
    for position, tool in enumerate(tools if isinstance(tools, list) else ()):
        if is_native(tool):
            yield _require(tool, "tool", f"tools.{position}")
    messages = body.get("messages")
    for row, message in enumerate(messages if isinstance(messages, list) else ()):
        content = message.get("content") if isinstance(message, dict) else None
        for column, part in enumerate(content if isinstance(content, list) else ()):
            if is_native(part) and not part.get("instead"):
                yield _require(part, "block", f"messages.{row}.content.{column}")


def _require(entry: Json, holder: str, position: str) -> RequiredWire:
    held = entry.get(holder)
    kind = held.get("type") if isinstance(held, dict) else None
    return RequiredWire(
        str(entry.get("wire")), str(entry.get("field") or position), str(kind or NATIVE)
    )
