"""The native form of an answer, for callers of the same wire: what chat cannot express."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from broker.completion import Json
from broker.requests.native import read_native
from workers.adapters.anthropic.messages import WIRE
from workers.adapters.anthropic.tools import ANSWER_TOOL
from workers.adapters.json_shapes import as_object

_FIELDS = ("stop_sequence", "stop_details", "container", "context_management", "usage")
_RANKS: Mapping[str, int] = {"thinking": 0, "redacted_thinking": 0, "text": 1, "tool_use": 2}
_GROWING = ("text", "thinking", "signature", "partial_json")
_CALL = frozenset({"type", "id", "name", "input"})


def is_requested(body: Json) -> bool:
    """Return whether the caller reads the native form."""
    return bool(read_native(body, WIRE))


def build_native(body: Json, blocks: Sequence[Json], message: Json) -> Json:
    """Return the native form of an answer for its choice; empty where nobody reads it.

    It has the blocks only where a chat message does not express them: it has the reasoning, then
    one text, then the calls.
    """
    if not is_requested(body):
        return {}
    fields = {name: message[name] for name in _FIELDS if message.get(name) is not None}
    native: Json = {"wire": WIRE, "fields": fields}
    is_own_tool = any(block.get("name") == ANSWER_TOOL for block in blocks)
    if not is_own_tool and not _is_expressed(blocks):
        native["content"] = list(blocks)
    return {"native": native}


def _is_expressed(blocks: Sequence[Json]) -> bool:
    ranks = [_RANKS.get(str(block.get("type"))) for block in blocks]
    known = [rank for rank in ranks if rank is not None]
    odd = any(block.get("citations") or _has_more(block) for block in blocks)
    return not odd and len(known) == len(ranks) and known == sorted(known) and known.count(1) <= 1


def _has_more(block: Json) -> bool:
    is_call = block.get("type") == "tool_use"
    return is_call and any(name not in _CALL and block[name] is not None for name in block)


class NativeStream:
    """Collector of the native form of a streamed answer."""

    def __init__(self, body: Json) -> None:
        self.is_requested = is_requested(body)
        self._body = body
        self._blocks: dict[int, Json] = {}
        self._pieces: dict[tuple[int, str], list[str]] = {}  # by block and field
        self._message: Json = {}
        self._last_kind = ""

    def take(self, payload: Json) -> Sequence[Json]:
        """Collect an event of the wire. Return those events that chat does not express."""
        if not self.is_requested:
            return ()
        index = payload.get("index")
        match payload.get("type"):
            case "content_block_start":
                return self._start(index, as_object(payload.get("content_block")))
            case "content_block_delta":
                return self._add(index, as_object(payload.get("delta")))
            case "content_block_stop":
                return self._stop(index)
            case "message_delta":
                self._message |= as_object(payload.get("delta"))
                if management := payload.get("context_management"):
                    self._message["context_management"] = management
        return ()

    def build(self, usage: Json) -> Json:
        """Return the native form of the whole answer, as `build_native` does."""
        blocks = [self._read(index) for index in sorted(self._blocks)]
        return build_native(self._body, blocks, {**self._message, "usage": usage})

    def _start(self, index: Any, block: Json) -> Sequence[Json]:
        self._blocks[index] = dict(block)
        kind, before = str(block.get("type")), self._last_kind
        self._last_kind = kind
        joins = kind == "text" and before == "text"
        if kind in _RANKS and not joins and not _has_more(block):
            return ()
        return [{"type": "content_block_start", "content_block": block}]

    def _add(self, index: Any, delta: Json) -> Sequence[Json]:
        block = self._blocks.get(index)
        if block is None:
            return ()
        for name in _GROWING:
            if isinstance(piece := delta.get(name), str):
                self._pieces.setdefault((index, name), []).append(piece)
        is_citation = delta.get("type") == "citations_delta"
        if is_citation:
            block["citations"] = [*(block.get("citations") or ()), delta.get("citation")]
        is_expressed = block.get("type") in _RANKS and not is_citation
        return () if is_expressed else [{"type": "content_block_delta", "delta": delta}]

    def _stop(self, index: Any) -> Sequence[Json]:
        kind = self._blocks.get(index, {}).get("type")
        return () if kind in _RANKS else [{"type": "content_block_stop"}]

    def _read(self, index: int) -> Json:
        """Return a block, with its input parsed."""
        block = dict(self._blocks[index])
        for name in _GROWING:
            if text := "".join(self._pieces.get((index, name), ())):
                block[name] = (block.get(name) or "") + text
        if (text := block.pop("partial_json", None)) is not None:
            block["input"] = _parse_input(text)
        return block


def _parse_input(text: str) -> Json:
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"arguments": text}
