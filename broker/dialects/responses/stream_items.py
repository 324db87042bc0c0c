"""The typed events of the items of an answer, from the deltas of its chunks."""

import io
from dataclasses import dataclass, field
from typing import Any

from broker.completion import Json
from broker.dialects.accumulation import ChoiceCollector
from broker.dialects.responses import reasoning
from broker.dialects.responses.output_items import (
    IN_PROGRESS,
    INCOMPLETE,
    OutputStyle,
    read_content,
    render_annotation,
    render_call,
    render_output,
    render_reasoning,
)

CONTENT = ("content", "refusal", "annotations", "tool_calls", "images")
"""Fields of a delta that end the reasoning before them."""


@dataclass(slots=True)
class _Item:
    """An item that was shown."""

    place: int  # its output index
    shown: Json  # as it was added
    text: io.StringIO = field(default_factory=io.StringIO)
    parts: list[Json] = field(default_factory=list)  # of a message or of reasoning
    is_buffered: bool = False  # its deltas cannot be shown as they come
    is_open: bool = True

    @property
    def id(self) -> str:
        return str(self.shown["id"])


class OutputStream:
    """Builds the events of the items of one attempt. Events have no sequence numbers yet."""

    def __init__(self, style: OutputStyle) -> None:
        self._style = style
        self._collector = ChoiceCollector()
        self._known: Json | None = None  # the whole choice, if it came at once
        self._items: dict[str, _Item] = {}  # by id, in the order of their output index
        self._events: list[Json] = []
        self._thought: _Item | None = None  # the open reasoning item
        self._thoughts = 0  # reasoning items so far
        self._group = ""  # what the details of the open one have in common
        self._block: Any = None  # the last detail of reasoning: its kind and index
        self._reads_details: bool | None = None  # where the text of reasoning comes from
        self._logprobs: list[Json] = []  # those that wait for a text
        self._annotations = 0

    def add(self, choice: Json) -> list[Json]:
        """Return the events for the first choice of a chunk."""
        self._collector.add([choice])
        self._take(choice.get("delta") or {}, choice.get("logprobs") or {})
        return self._pop()

    def add_whole(self, choice: Json) -> list[Json]:
        """Return the events for the choice of a whole answer."""
        self._known = choice
        message: Json = choice.get("message") or {}
        calls = [
            {**call, "index": index} for index, call in enumerate(message.get("tool_calls") or ())
        ]
        delta = {**message, "content": read_content(message), "tool_calls": calls}
        self._take(delta, choice.get("logprobs") or {})
        return self._pop()

    def choice(self) -> Json:
        """Return the choice as it is now."""
        if self._known is not None:
            return self._known
        choices = self._collector.choices()
        return choices[0] if choices else {}

    def finish(self, status: str) -> tuple[list[Json], list[Json]]:
        """Return the last events and all items; `status` is that of the last item."""
        rendered = {item["id"]: item for item in render_output(self.choice(), self._style, status)}
        self._end_thought()
        for item in list(self._items.values()):
            if item.is_open:
                self._close(item, rendered.get(item.id, item.shown))
        for whole in rendered.values():
            if whole["id"] not in self._items:
                self._show_whole(whole)
        shown = [rendered.get(item.id, item.shown) for item in self._items.values()]
        return self._pop(), shown

    def list_items(self) -> list[Json]:
        """Return the items so far, for an answer that has broken off."""
        rendered = {
            item["id"]: item for item in render_output(self.choice(), self._style, INCOMPLETE)
        }
        return [
            rendered.get(item.id, item.shown) | ({"status": INCOMPLETE} if item.is_open else {})
            for item in self._items.values()
        ]

    def _take(self, delta: Json, logprobs: Json) -> None:
        if delta.get("reasoning") or delta.get("reasoning_details"):
            self._take_reasoning(delta)
        if self._thought is not None and any(delta.get(name) for name in CONTENT):
            self._end_thought()
        self._logprobs += logprobs.get("content") or ()
        if delta.get("content"):
            self._speak("output_text", delta["content"])
        if delta.get("refusal"):
            self._speak("refusal", delta["refusal"])
        for annotation in delta.get("annotations") or ():
            self._annotate(annotation)
        for call in delta.get("tool_calls") or ():
            self._take_call(call)

    def _take_reasoning(self, delta: Json) -> None:
        details = [
            each
            for each in delta.get("reasoning_details") or ()
            if isinstance(each, dict) and not reasoning.is_late(each)
        ]
        text = delta.get("reasoning")
        has_texts = any(map(reasoning.read_text, details))
        if self._reads_details is None and (text or has_texts):
            self._reads_details = has_texts
        if text and not self._reads_details:
            self._think({"type": reasoning.TEXT, "text": text}, is_same=True, is_shown=True)
        for detail in details:
            is_same = self._known is None and _block(detail) == self._block
            self._think(detail, is_same=is_same, is_shown=self._reads_details is True)
            self._block = _block(detail)

    def _think(self, detail: Json, *, is_same: bool, is_shown: bool) -> None:
        """Show a detail of reasoning; `is_same`: its text continues the last part."""
        thought = self._open_thought(reasoning.find_group(detail))
        text = reasoning.read_text(detail) if is_shown else ""
        if thought.parts and not is_same:
            self._end_part(thought)
        if text:
            kind = reasoning.is_summary(detail, as_summary=self._style.as_summary)
            self._continue_part(thought, "summary_text" if kind else "reasoning_text", text)

    def _open_thought(self, group: str) -> _Item:
        """Return the open reasoning item of a group."""
        if self._thought is None or group != self._group:
            self._end_thought()
            id_ = self._style.id("rs", self._thoughts)
            self._thoughts += 1
            self._group = group
            shown = reasoning.render_item(id_, (), as_summary=False, status=IN_PROGRESS)
            self._thought = self._open(shown)
        return self._thought

    def _end_thought(self) -> None:
        if self._thought is None:
            return
        thought, self._thought = self._thought, None
        early, late = render_reasoning(self.choice().get("message") or {}, self._style)
        rendered = {item["id"]: item for item in (*early, *late)}
        self._close(thought, rendered.get(thought.id, thought.shown))

    def _speak(self, kind: str, text: str) -> None:
        self._continue_part(self._open_message(), kind, text)

    def _open_message(self) -> _Item:
        id_ = self._style.id("msg")
        if id_ not in self._items:
            shown = {"type": "message", "role": "assistant", "status": IN_PROGRESS, "content": []}
            self._open({"id": id_, **shown})
        return self._items[id_]

    def _annotate(self, annotation: Any) -> None:
        message = self._open_message()
        if not message.parts:
            self._begin_part(message, "output_text")
        self._events.append({
            "type": "response.output_text.annotation.added",
            **_address(message, "content", 0),
            "annotation_index": self._annotations,
            "annotation": render_annotation(annotation),
        })  # fmt: skip
        self._annotations += 1

    def _take_call(self, call: Json) -> None:
        index = call.get("index") or 0
        custom, function = call.get("custom"), call.get("function") or {}
        known = [self._style.id(prefix, index) for prefix in ("fc", "ctc", "tsc")]
        item = next((self._items[id_] for id_ in known if id_ in self._items), None)
        if item is None:
            opening = {**call, "function": {**function, "arguments": ""}}
            if isinstance(custom, dict):
                opening["custom"] = {**custom, "input": ""}
            item = self._open(render_call(opening, index, self._style) | {"status": IN_PROGRESS})
            item.shown.pop("extra_content", None)
            item.is_buffered = _is_search(item) or (
                _is_custom(item) and not isinstance(custom, dict)
            )
        text = (custom or {}).get("input") or function.get("arguments") or ""
        item.text.write(text)
        if text and not item.is_buffered:
            self._show_call_text(item, text)

    def _show_call_text(self, item: _Item, text: str) -> None:
        self._events.append({"type": f"{_call_text(item)}.delta", **_place(item), "delta": text})

    def _open(self, shown: Json) -> _Item:
        item = _Item(len(self._items), shown)
        self._items[item.id] = item
        self._events.append({
            "type": "response.output_item.added", "output_index": item.place, "item": shown,
        })  # fmt: skip
        return item

    def _close(self, item: _Item, rendered: Json) -> None:
        """End an item; `rendered` is the whole of it."""
        item.is_open = False
        if rendered["type"] in ("function_call", "custom_tool_call"):
            self._end_call(item, rendered)
        if item.parts:
            self._end_part(item, rendered)
        self._events.append({
            "type": "response.output_item.done", "output_index": item.place, "item": rendered,
        })  # fmt: skip

    def _end_call(self, item: _Item, rendered: Json) -> None:
        name = "input" if _is_custom(item) else "arguments"
        missing = (
            rendered[name] if item.is_buffered else rendered[name][len(item.text.getvalue()) :]
        )
        if missing:
            self._show_call_text(item, missing)
        named = {"name": rendered["name"]} if name == "arguments" else {}
        self._events.append(
            {"type": f"{_call_text(item)}.done", **_place(item), **named, name: rendered[name]}
        )

    def _show_whole(self, rendered: Json) -> None:
        """Show an item that no delta has begun."""
        item = self._open({**rendered, "status": IN_PROGRESS})
        if rendered["type"] == "message":
            self._begin_part(item, "output_text")
        self._close(item, rendered)

    def _continue_part(self, item: _Item, kind: str, text: str) -> None:
        last = item.parts[-1] if item.parts else None
        if last is None or last["type"] != kind or last.get("ended"):
            if last is not None and not last.get("ended"):
                self._end_part(item)
            self._begin_part(item, kind)
        item.text.write(text)
        event = {
            "type": f"{_PART_EVENTS[kind]}.delta",
            **_address(item, *_part_place(item)),
            "delta": text,
        }
        if kind == "output_text":
            event["logprobs"], self._logprobs = self._logprobs, []
        self._events.append(event)

    def _begin_part(self, item: _Item, kind: str) -> None:
        item.text = io.StringIO()
        part: Json = {"type": kind, _TEXT_FIELDS.get(kind, "text"): ""}
        item.parts.append(dict(part))
        if kind == "output_text":
            part |= {"annotations": [], "logprobs": []}
        holder, index = _part_place(item)
        self._events.append({
            "type": f"{_HOLDERS[holder]}.added", **_address(item, holder, index), "part": part,
        })  # fmt: skip

    def _end_part(self, item: _Item, rendered: Json | None = None) -> None:
        """End the last part of an item. The whole item says what its message's text is."""
        last = item.parts[-1]
        if last.get("ended"):
            return
        last["ended"] = True
        holder, index = _part_place(item)
        kind, name = last["type"], _TEXT_FIELDS.get(last["type"], "text")
        part: Json = {"type": kind, name: item.text.getvalue()}
        if kind == "output_text" and rendered is not None:
            part = next(each for each in rendered["content"] if each["type"] == kind)
        elif kind == "output_text":
            part |= {"annotations": [], "logprobs": []}
        done = {"type": f"{_PART_EVENTS[kind]}.done", **_address(item, holder, index)}
        logprobs = {"logprobs": part["logprobs"]} if kind == "output_text" else {}
        self._events += [
            {**done, name: part[name], **logprobs},
            {"type": f"{_HOLDERS[holder]}.done", **_address(item, holder, index), "part": part},
        ]

    def _pop(self) -> list[Json]:
        events, self._events = self._events, []
        return events


_PART_EVENTS = {
    "output_text": "response.output_text",
    "refusal": "response.refusal",
    "reasoning_text": "response.reasoning_text",
    "summary_text": "response.reasoning_summary_text",
}
_HOLDERS = {"content": "response.content_part", "summary": "response.reasoning_summary_part"}
_TEXT_FIELDS = {"refusal": "refusal"}


def _part_place(item: _Item) -> tuple[str, int]:
    """Return the list that the last part of an item is in, and its index there."""
    kind = item.parts[-1]["type"]
    holder = "summary" if kind == "summary_text" else "content"
    same = [
        part for part in item.parts if (part["type"] == "summary_text") == (holder == "summary")
    ]
    return holder, len(same) - 1


def _address(item: _Item, holder: str, index: int) -> Json:
    return {**_place(item), f"{holder}_index": index}


def _place(item: _Item) -> Json:
    return {"item_id": item.id, "output_index": item.place}


def _is_custom(item: _Item) -> bool:
    return bool(item.shown["type"] == "custom_tool_call")


def _is_search(item: _Item) -> bool:
    return bool(item.shown["type"] == "tool_search_call")


def _call_text(item: _Item) -> str:
    """Return the name of the events with the text of a call."""
    return (
        "response.custom_tool_call_input"
        if _is_custom(item)
        else "response.function_call_arguments"
    )


def _block(detail: Json) -> Any:
    """Return the key of the part that a detail belongs to. Each encrypted one has its own."""
    if detail.get("type") == reasoning.ENCRYPTED:
        return object()
    return detail.get("type"), detail.get("index")
