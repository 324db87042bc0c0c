"""Reasoning items of a conversation, from the `reasoning_details` of its messages."""

from dataclasses import dataclass, field
from typing import Any

from broker.completion import Json
from workers.adapters.json_shapes import as_objects, as_text

FORMAT = "openai-responses-v1"
"""OpenRouter's format name for reasoning details of this wire."""

_ID = "rs_"


def read_reasoning_items(details: Any, *, stored: bool) -> list[Json]:
    """Return the reasoning items in `reasoning_details`. Details with one id are one item.

    Details of other wires are left out, and items that the provider could not read again: an item
    without encrypted content and text is known only where the provider stored it.
    """
    items: dict[Any, _ReasoningItem] = {}
    for number, detail in enumerate(as_objects(details)):
        item_id = as_text(detail.get("id"))
        given = detail.get("format")
        if given == FORMAT or (given is None and item_id.startswith(_ID)):
            items.setdefault(item_id or number, _ReasoningItem(item_id)).add(detail)
    return [item.json() for item in items.values() if item.is_readable(stored=stored)]


@dataclass(slots=True)
class _ReasoningItem:
    """One reasoning item. A text may come in pieces of one index, as it was streamed."""

    id: str
    encrypted: str = ""
    summary: dict[Any, str] = field(default_factory=dict)  # texts by index
    content: dict[Any, str] = field(default_factory=dict)  # likewise

    def add(self, detail: Json) -> None:
        match detail.get("type"):
            case "reasoning.encrypted":
                self.encrypted = as_text(detail.get("data")) or self.encrypted
            case "reasoning.summary":
                _append(self.summary, detail, "summary")
            case "reasoning.text":
                _append(self.content, detail, "text")

    def is_readable(self, *, stored: bool) -> bool:
        return bool(self.encrypted or self.content or (stored and self.id))

    def json(self) -> Json:
        item: Json = {"type": "reasoning"}
        if self.id:
            item["id"] = self.id
        item["summary"] = _parts("summary_text", self.summary)
        if self.content:
            item["content"] = _parts("reasoning_text", self.content)
        if self.encrypted:
            item["encrypted_content"] = self.encrypted
        return item


def _append(texts: dict[Any, str], detail: Json, name: str) -> None:
    index = detail.get("index")
    key = index if isinstance(index, int) else f"#{len(texts)}"
    if text := as_text(detail.get(name)):
        texts[key] = texts.get(key, "") + text


def _parts(kind: str, texts: dict[Any, str]) -> list[Json]:
    return [{"type": kind, "text": text} for text in texts.values()]
