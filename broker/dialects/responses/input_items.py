"""Items of the input as messages of a chat.

Consecutive items of the assistant become one message where their order allows it: reasoning, then
text, then calls. What follows a call before its result stays in the message of the call, because
the results must follow it directly.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from broker.completion import Json
from broker.dialects.responses import parts, reasoning
from broker.dialects.responses.item_schemas import KINDS, find_kind
from broker.dialects.responses.tool_names import NO_NAMES, SEARCH, ToolNames, list_offered
from broker.errors import InvalidRequestError

NO_ITEMS: Mapping[str, Json] = {}


def translate_items(
    items: Sequence[Json],
    history: Iterable[Json] = (),
    known: Mapping[str, Json] = NO_ITEMS,
    names: ToolNames = NO_NAMES,
) -> list[Json]:
    """Return the messages of these items.

    `history` are the messages before them, `known` the items that references may name, by id, and
    `names` the names of tools.
    Raises InvalidRequestError that names the item.
    """
    conversation = _Conversation(history, known, names)
    for place, item in enumerate(items):
        conversation.add(item, f"input.{place}")
    return conversation.messages


def list_references(items: Any) -> Sequence[str]:
    """Return the ids that item references of an input name."""
    return [
        item["id"]
        for item in (items if isinstance(items, list) else ())
        if isinstance(item, dict)
        and isinstance(item.get("id"), str)
        and find_kind(item) == "item_reference"
    ]


class _Conversation:
    """Messages that grow item by item."""

    def __init__(
        self, history: Iterable[Json], known: Mapping[str, Json], names: ToolNames
    ) -> None:
        self.messages: list[Json] = []
        self._known = known
        self._names = names
        self._reasoning = reasoning.ItemReader()
        self._open: Json | None = None  # the assistant's message that items are added to
        self._calls = {
            call.get("id")
            for message in history
            for call in message.get("tool_calls") or ()
            if isinstance(call, dict)
        }

    def add(self, item: Json, field: str) -> None:
        kind = find_kind(item)
        match kind:
            case "message":
                self._add_message(item, field)
            case "reasoning":
                self._add_reasoning(item, field)
            case "function_call":
                call = {"name": self._name(item), "arguments": item["arguments"]}
                self._add_call(item, {"type": "function", "function": call})
            case "custom_tool_call":
                call = {"name": self._name(item), "input": item["input"]}
                self._add_call(item, {"type": "custom", "custom": call})
            case "tool_search_call":
                call = {"name": SEARCH, "arguments": _write_json(item["arguments"])}
                self._add_call(item, {"type": "function", "function": call})
            case "function_call_output" | "custom_tool_call_output":
                self._add_output(item, field)
            case "tool_search_output":
                self._add_output(item | {"output": self._list_found(item)}, field)
            case "item_reference":
                self._add_reference(item, field)
            case _:
                raise InvalidRequestError(
                    f"{field}.type: {kind[:64]!r} has no form in other APIs. Known: "
                    f"{', '.join(sorted(KINDS))}.",
                    param=f"{field}.type",
                )

    def _name(self, item: Json) -> str:
        return self._names.to_chat(item["name"], item.get("namespace"))

    def _list_found(self, item: Json) -> str:
        """Return the result of a search. The tools themselves are offered with the others."""
        found = list_offered({"tools": item["tools"]})
        names = [self._names.to_chat(each.name, each.namespace) for each in found]
        return _write_json({"tools": names})

    def _add_message(self, item: Json, field: str) -> None:
        content = parts.translate_content(item["content"], f"{field}.content")
        if item["role"] != "assistant":
            self._open = None
            self.messages.append({"role": item["role"], "content": content})
            return
        message = self._assistant(is_after_text=True)
        if message["content"] is None:
            message["content"] = content
        else:
            message["content"] = [*_as_parts(message["content"]), *_as_parts(content)]

    def _add_reasoning(self, item: Json, field: str) -> None:
        details = self._reasoning.read(item, field)
        is_late = bool(details) and all(map(reasoning.is_late, details))
        message = self._assistant(is_after_text=not is_late)
        known = message.setdefault("reasoning_details", [])
        is_packed = reasoning.is_packed(item)  # then its details have their numbers already
        known.extend(details if is_packed else reasoning.number(details, len(known)))

    def _add_call(self, item: Json, call: Json) -> None:
        extra = {"extra_content": item["extra_content"]} if item.get("extra_content") else {}
        message = self._assistant(is_after_text=False)
        message.setdefault("tool_calls", []).append({"id": item["call_id"], **call, **extra})
        self._calls.add(item["call_id"])

    def _add_output(self, item: Json, field: str) -> None:
        if item["call_id"] not in self._calls:
            raise InvalidRequestError(
                f"{field}.call_id: there is no call {item['call_id'][:64]!r} before its output. "
                "Send the call too, or name the response in previous_response_id.",
                param=f"{field}.call_id",
            )
        self._open = None
        content = parts.translate_content(item["output"], f"{field}.output")
        self.messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": content})

    def _add_reference(self, item: Json, field: str) -> None:
        found = self._known.get(item["id"])
        if found is None:
            raise InvalidRequestError(
                f"{field}.id: there is no stored item {item['id'][:64]!r}. Send the item itself.",
                param=f"{field}.id",
            )
        self.add(found, field)

    def _assistant(self, *, is_after_text: bool) -> Json:
        """Return the assistant's message to add to.

        `is_after_text`: what is added cannot follow a text in the same message, unless calls wait
        for their results.
        """
        last = self._open
        if last is None or (
            is_after_text and last["content"] is not None and not last.get("tool_calls")
        ):
            last = self._open = {"role": "assistant", "content": None}
            self.messages.append(last)
        return last


def _as_parts(content: Any) -> list[Json]:
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


def _write_json(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
