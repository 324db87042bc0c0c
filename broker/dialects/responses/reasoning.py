"""Reasoning items and the `reasoning_details` of a chat message, in both directions.

Details of OpenAI have the format `openai-responses-v1`, and those with the same `id` are one item.
What only a provider can read (encrypted reasoning, signatures) must come back to it unchanged, in
its own format. So it is packed, with the text that it belongs to, into `encrypted_content`.
"""

import base64
import binascii
import itertools
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from broker.completion import Json
from broker.errors import InvalidRequestError

FORMAT = "openai-responses-v1"
PACKED = "waybill1."
MAX_PACKED_BYTES = 32 * 1024 * 1024
SUMMARY, TEXT, ENCRYPTED = "reasoning.summary", "reasoning.text", "reasoning.encrypted"
TEXTS = {SUMMARY: "summary", TEXT: "text"}
"""The fields with the text of a detail, by its type."""

_READABLE = frozenset({"type", "index", *TEXTS.values()})
"""The fields of a detail that a reasoning item shows, or that its place there shows."""

_LATE = ("google-gemini",)
"""Formats whose encrypted details belong to the text and the calls before them."""


def group_details(details: Iterable[Json]) -> Sequence[Sequence[Json]]:
    """Return the details of each reasoning item: those that follow each other in one group."""
    return [list(group) for _, group in itertools.groupby(details, find_group)]


def find_group(detail: Json) -> str:
    """Return the key of the item that a detail belongs to."""
    id_ = detail.get("id")
    return id_ if detail.get("format") == FORMAT and isinstance(id_, str) else ""


def is_late(detail: Json) -> bool:
    """Return whether a detail follows the text and the calls of its message."""
    return detail.get("type") == ENCRYPTED and str(detail.get("format")).startswith(_LATE)


def read_text(detail: Json) -> str:
    """Return the text that a reader sees of a detail."""
    text = detail.get(TEXTS.get(str(detail.get("type")), ""))
    return text if isinstance(text, str) else ""


def is_summary(detail: Json, *, as_summary: bool) -> bool:
    """Return whether the text of a detail is a part of the summary; `as_summary`: any text is."""
    return as_summary or detail.get("type") == SUMMARY


def render_item(id_: str, details: Sequence[Json], *, as_summary: bool, status: str) -> Json:
    """Return the reasoning item with these details."""
    summary, content = [], []
    for detail in details:
        if text := read_text(detail):
            if is_summary(detail, as_summary=as_summary):
                summary.append({"type": "summary_text", "text": text})
            else:
                content.append({"type": "reasoning_text", "text": text})
    item: Json = {"id": id_, "type": "reasoning", "summary": summary}
    if content:
        item["content"] = content
    return item | {"encrypted_content": pack_details(details), "status": status}


def pack_details(details: Sequence[Json]) -> str | None:
    """Return details as opaque text; None if a reader sees all that they say."""
    if all(_READABLE.issuperset(detail) for detail in details):
        return None
    packed = zlib.compress(orjson.dumps(details), level=1)
    return PACKED + base64.urlsafe_b64encode(packed).decode()


def is_packed(item: Mapping[str, Any]) -> bool:
    """Return whether an item contains details that `pack_details` has packed."""
    return str(item.get("encrypted_content") or "").startswith(PACKED)


class ItemReader:
    """Reads the reasoning items of one input. Together, they unpack to `MAX_PACKED_BYTES`."""

    def __init__(self) -> None:
        self._room = MAX_PACKED_BYTES

    def read(self, item: Mapping[str, Any], field: str) -> Sequence[Json]:
        """Return the details of a reasoning item.

        An item without encrypted content is text of any provider: one that stores its items would
        not find it by its id. Raises InvalidRequestError for packed details that were changed, or
        that are too many.
        """
        encrypted = item.get("encrypted_content")
        if encrypted and is_packed(item):
            return self._unpack(encrypted, f"{field}.encrypted_content")
        details: list[Json] = [
            *({"type": SUMMARY, "summary": part["text"]} for part in item.get("summary") or ()),
            *({"type": TEXT, "text": part["text"]} for part in item.get("content") or ()),
        ]
        common: Json = {}
        if encrypted:
            details.append({"type": ENCRYPTED, "data": encrypted})
            common = {"format": FORMAT} | ({"id": item["id"]} if item.get("id") else {})
        return [detail | common for detail in details]

    def _unpack(self, encrypted: str, field: str) -> Sequence[Json]:
        changed = InvalidRequestError(
            f"{field}: this is not the content of a reasoning item of an answer. Send the item "
            "back unchanged, or leave it out.",
            param=field,
        )
        try:
            packed = base64.b64decode(encrypted.removeprefix(PACKED), altchars=b"-_", validate=True)
            reader = zlib.decompressobj()
            text = reader.decompress(packed, self._room + 1)  # 0 would mean no limit
        except (binascii.Error, zlib.error, ValueError):
            raise changed from None
        if len(text) > self._room:
            raise InvalidRequestError(
                f"{field}: the encrypted reasoning of one input may have "
                f"{MAX_PACKED_BYTES // 2**20} MiB when it is unpacked. Leave out the oldest "
                "reasoning items.",
                param=field,
            )
        self._room -= len(text)
        details = _parse(text) if reader.eof else None
        if not isinstance(details, list) or not all(isinstance(each, dict) for each in details):
            raise changed
        return details


def _parse(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def number(details: Sequence[Json], start: int) -> list[Json]:
    """Return details with an `index` each, from `start`."""
    return [detail | {"index": place} for place, detail in enumerate(details, start)]
