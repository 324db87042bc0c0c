"""Translation between thinking blocks and the reasoning details of chat messages.

Thinking of Anthropic's models has a signature and needs no translation. Details of other vendors
that must be sent back (encrypted, or with an id) travel in the signature of a thinking block, or in
the data of a redacted one, with a prefix. Clients send both back as they are.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import orjson

from broker.completion import Json

FORMAT = "anthropic-claude-v1"
"""OpenRouter's format of the reasoning details of Anthropic's models."""

_PREFIX = "waybill.1."
_TEXTS = ("text", "summary")
_OPAQUE = ("data", "signature", "id")


def is_of_anthropic(detail: Json) -> bool:
    """Return whether a detail is thinking of Anthropic's models."""
    return detail.get("format") == FORMAT


def find_opaque(details: Sequence[Json]) -> Sequence[Json]:
    """Return the details that must be sent back as they are; others are only their text."""
    return [each for each in details if any(each.get(name) for name in _OPAQUE)]


def encode_details(details: Sequence[Json]) -> str:
    """Return details as a signature; empty without any."""
    if not details:
        return ""
    return _PREFIX + base64.urlsafe_b64encode(orjson.dumps(details)).decode()


def decode_details(signature: str) -> Sequence[Json] | None:
    """Return the details in a signature of `encode_details`, or None for any other one."""
    if not signature.startswith(_PREFIX):
        return None
    try:
        details = orjson.loads(base64.urlsafe_b64decode(signature.removeprefix(_PREFIX)))
    except (binascii.Error, ValueError):
        return ()
    listed = details if isinstance(details, list) else ()
    return [detail for detail in listed if isinstance(detail, dict)]


def read_block(block: Json, index: int) -> Sequence[Json]:
    """Return the reasoning details of a thinking block, which is the `index`th of its message."""
    if block["type"] == "redacted_thinking":
        decoded = decode_details(block["data"])
        if decoded is not None:
            return decoded
        return [_detail("reasoning.encrypted", index, data=block["data"])]
    text, signature = block["thinking"], block.get("signature") or ""
    decoded = decode_details(signature)
    if decoded is None and signature:
        return [_detail("reasoning.text", index, text=text, signature=signature)]
    details = decoded or ()
    if not text or any(each.get(name) for each in details for name in _TEXTS):
        return details
    return [{"type": "reasoning.text", "text": text}, *details]


def _detail(kind: str, index: int, **fields: str) -> Json:
    return {"type": kind, **fields, "format": FORMAT, "index": index}


def render_blocks(message: Json, *, is_shown: bool) -> list[Json]:
    """Return the thinking blocks of a chat message; their text is empty unless it is shown."""
    details: Sequence[Any] = message.get("reasoning_details") or ()
    if details and all(is_of_anthropic(each) for each in details):
        return [_render_block(each, is_shown=is_shown) for each in details]
    text = message.get("reasoning") or "".join(read_text(each) for each in details)
    signature = encode_details(find_opaque(details))
    if not text:
        return [{"type": "redacted_thinking", "data": signature}] if signature else []
    return [{"type": "thinking", "thinking": text if is_shown else "", "signature": signature}]


def read_text(detail: Json) -> str:
    """Return the readable text of a detail."""
    return "".join(str(detail.get(name) or "") for name in _TEXTS)


def _render_block(detail: Json, *, is_shown: bool) -> Json:
    if detail.get("type") == "reasoning.encrypted":
        return {"type": "redacted_thinking", "data": detail.get("data") or ""}
    text = detail.get("text") or "" if is_shown else ""
    return {"type": "thinking", "thinking": text, "signature": detail.get("signature") or ""}
