"""Measure the content of a body: text, pictures, sound, films, documents, searches. Pure.

Each measure that is not exact has a likely value and an upper bound. Text is counted in
messages, tool definitions and calls, schemas and documents. Unknown content counts as text.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from broker.completion import Json
from broker.requests.pictures import MASK, REFERENCES, read_image_url

IDS = ("input", "prompt")
"""Fields that may hold tokens as numbers."""

NOT_SENT = frozenset(
    {"model", "models", "route", "routing", "provider", "plugins", "transforms", "preset",
     "allowed_models", "excluded_models", "cost_tier", "session_id", "trace", "usage", "stream",
     "stream_options", "debug", "coalesce", "metadata", "user", "service_tier", "modalities",
     "reasoning", "reasoning_effort", "native", "encoding_format", "voice", "size", "quality",
     "style"}
)  # fmt: skip
"""Fields of a body that no model reads."""

MIN_SOUND_BYTES = 1_000  # a second: 8 kbit/s, the lowest rate of MP3
MIN_VARIABLE_BYTES = 250  # a second of formats that compress silence
LIKELY_SOUND_BYTES = 8_000
VARIABLE = frozenset({"flac", "ogg", "opus", "oga", "webm", "m4a", "mp4", "aac"})
MIN_RAW_BYTES = 16_000  # a second of 16 bit at 8 kHz
WAVE_HEADER = 44
MAX_WAVE_RATE = 192_000  # samples a second
MAX_WAVE_CHANNELS = 8
MAX_WAVE_BITS = 64
PLAIN_WAVES = (1, 3, 0xFFFE)  # integer samples, float samples, extensible format
MIN_PAGE_BYTES = 2_000
LIKELY_PAGE_BYTES = 50_000
LIKELY_PAGE_TOKENS = 1_000
TOKENS_PER_BYTE = 0.75  # of a PDF: text that is compressed to a third, four characters a token
UNSEEN_PAGES = 100  # of a document that is only known by its URL
FILM_TOKEN_BYTES = 40
UNSEEN_FILM_TOKENS = 100_000
DEFAULT_MAX_SEARCHES = 10  # of a call without `max_uses`

_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_FUNCTION_KINDS = ("function", "custom")
_CLIENT_TOOLS = ("bash_", "text_editor_", "computer_", "memory_")
"""Tools that Anthropic defines and the caller runs, by the beginning of their types."""


class Range(NamedTuple):
    """A likely value and an upper bound."""

    likely: int = 0
    most: int = 0

    def plus(self, other: "Range") -> "Range":
        return Range(self.likely + other.likely, self.most + other.most)


NONE = Range()


@dataclass(slots=True)
class Sent:
    """The units of price that one body sends."""

    text_bytes: int = 0
    token_ids: int = 0
    messages: int = 0
    images: int = 0
    edited_images: int = 0  # those of `images` that a picture is made from
    milliseconds: Range = NONE  # of sound
    pages: Range = NONE
    page_tokens: int = 0  # likely tokens of all pages
    film_tokens: Range = NONE
    searches: Range = NONE
    caches_an_hour: bool = False


def measure(body: Json) -> Sent:
    """Return what a body of any operation sends."""
    sent = Sent()
    for name, value in body.items():
        if name not in NOT_SENT and value is not None and not isinstance(value, bool | int | float):
            _field(sent, name, value)
    for tool in body.get("tools") or ():
        if isinstance(tool, dict):
            sent.searches = sent.searches.plus(_searches(tool))
    return sent


def _field(sent: Sent, name: str, value: Any) -> None:
    if name == "messages" and isinstance(value, list):
        for message in value:
            _message(sent, message)
    elif name == "input_audio" and isinstance(value, dict):
        _sound(sent, {"input_audio": value})
    elif name in REFERENCES and isinstance(value, list):
        for each in value:
            _picture(sent, each)
    elif name == MASK:
        _picture(sent, value)
    elif name == "web_search_options":
        sent.searches = sent.searches.plus(Range(1, DEFAULT_MAX_SEARCHES))
    else:
        _walk(sent, value, ids=name in IDS)


def text_size(text: str) -> int:
    """Return the bytes of a text in UTF-8; half a surrogate pair counts as three."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _message(sent: Sent, message: Any) -> None:
    sent.messages += 1
    if not isinstance(message, dict):
        _walk(sent, message)
        return
    for name, value in message.items():
        if name not in ("role", "native"):  # what is native is in the other fields, too
            _walk(sent, value)


def _walk(sent: Sent, value: Any, *, ids: bool = False) -> None:
    """Add a value: text, or a content part with other data.

    Pending values are in a list, because a body may be nested deeper than Python calls.
    """
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, str):
            sent.text_bytes += text_size(each)
        elif isinstance(each, list):
            pending += each
        elif isinstance(each, dict):
            pending += _inside(sent, each)
        elif ids and isinstance(each, int):
            sent.token_ids += 1
        elif each is not None:
            sent.text_bytes += len(repr(each))


def _inside(sent: Sent, value: Json) -> list[Any]:
    """Add an object's names, or all of it where it is a part of a message; return what is left."""
    kind = value.get("type")
    if kind == "native":
        return [value.get("block"), value.get("tool")]
    if isinstance(kind, str) and (read := _MEDIA.get(kind)) and _held(value, kind) is not None:
        read(sent, value)
        return []
    is_text = kind == "text" and isinstance(value.get("text"), str)
    inside = []
    for name, each in value.items():
        if name == "cache_control":
            is_long = isinstance(each, dict) and each.get("ttl") == "1h"
            sent.caches_an_hour = sent.caches_an_hour or is_long
        elif not (is_text and name == "type"):
            sent.text_bytes += 0 if is_text else text_size(str(name)) + 4
            inside.append(each)
    return inside


def _held(part: Json, kind: str) -> Any:
    """Return what a part of this kind holds, None where it holds nothing of the kind."""
    held = part.get(kind)
    return part.get("source") if held is None else held


def _image(sent: Sent, _: Json) -> None:
    sent.images += 1


def _picture(sent: Sent, value: Any) -> None:
    """Add a picture to work from, or anything else in its place as text."""
    if read_image_url(value) is None:
        _walk(sent, value)
    else:
        sent.images += 1
        sent.edited_images += 1


def _sound(sent: Sent, part: Json) -> None:
    held = part.get("input_audio")
    data = held.get("data") if isinstance(held, dict) else None
    kind = str(held.get("format") or "").lower() if isinstance(held, dict) else ""
    sent.milliseconds = sent.milliseconds.plus(_duration(data, kind))


def _duration(data: Any, kind: str) -> Range:
    if not isinstance(data, str):
        return Range()
    size = len(data) * 3 // 4
    head = _decoded(data[: 2 * WAVE_HEADER])
    if stated := _wave_rate(head):
        seconds = Range(size * 1000 // stated, size * 1000 // min(stated, MIN_RAW_BYTES))
    elif kind.startswith("pcm"):
        seconds = Range(size * 1000 // (3 * MIN_RAW_BYTES), size * 1000 // MIN_RAW_BYTES)
    else:
        least = MIN_VARIABLE_BYTES if _is_variable(head, kind) else MIN_SOUND_BYTES
        seconds = Range(size * 1000 // LIKELY_SOUND_BYTES, size * 1000 // least)
    return Range(seconds.likely, seconds.most + 1000)


def _is_variable(head: bytes, kind: str) -> bool:
    return kind in VARIABLE or head[:4] in (b"fLaC", b"OggS", b"\x1aE\xdf\xa3")


def _wave_rate(head: bytes) -> int | None:
    """Return the bytes of a second in plain samples, as a WAV file's header states.

    The caller wrote the header, so its values are limited to those of real files.
    """
    if head[:4] != b"RIFF" or head[8:16] != b"WAVEfmt " or len(head) < WAVE_HEADER:
        return None
    if _number(head, 20, 2) not in PLAIN_WAVES:
        return None
    channels = min(_number(head, 22, 2), MAX_WAVE_CHANNELS)
    rate = min(_number(head, 24, 4), MAX_WAVE_RATE)
    bits = min(_number(head, 34, 2), MAX_WAVE_BITS)
    return rate * channels * -(-bits // 8) or None


def _number(head: bytes, at: int, size: int) -> int:
    return int.from_bytes(head[at : at + size], "little")


def _decoded(data: str) -> bytes:
    """Decode base64 as far as it is whole."""
    data = data.partition(",")[2] if data.startswith("data:") else data
    try:
        return base64.b64decode(data[: len(data) // 4 * 4])
    except (binascii.Error, ValueError):
        return b""


def _film(sent: Sent, part: Json) -> None:
    held = part.get("video_url")
    url = held.get("url") if isinstance(held, dict) else held
    tokens = UNSEEN_FILM_TOKENS
    if isinstance(url, str) and url[:5].lower() == "data:":
        tokens = len(url) * 3 // 4 // FILM_TOKEN_BYTES
    sent.film_tokens = sent.film_tokens.plus(Range(min(tokens, 1_000), tokens))


def _document(sent: Sent, part: Json) -> None:
    held = _held(part, str(part.get("type")))
    if not isinstance(held, dict):
        _walk(sent, held)
        return
    data = held.get("file_data") or held.get("data") or held.get("url")
    if not isinstance(data, str):
        _add_pages(sent, Range(1, UNSEEN_PAGES))
        return
    if str(held.get("type")) == "text" or _mime(held, data).startswith("text/"):
        sent.text_bytes += text_size(data)
    elif data[:4].lower() == "http":
        _add_pages(sent, Range(1, UNSEEN_PAGES))
    else:
        _add_pages(sent, _pages(data), len(data) * 3 // 4)
    sent.text_bytes += text_size(str(held.get("filename") or held.get("title") or ""))


def _add_pages(sent: Sent, pages: Range, size: int = 0) -> None:
    """Add the pages of a document of `size` bytes, which limits the text of many short pages."""
    sent.pages = sent.pages.plus(pages)
    sent.page_tokens += min(
        pages.likely * LIKELY_PAGE_TOKENS, max(int(size * TOKENS_PER_BYTE), LIKELY_PAGE_TOKENS)
    )


def _mime(held: Json, data: str) -> str:
    stated = held.get("media_type")
    if isinstance(stated, str):
        return stated.lower()
    return data[5:100].lower() if data[:5].lower() == "data:" else ""


def _pages(data: str) -> Range:
    size = len(data) * 3 // 4
    marked = len(_PAGE.findall(_decoded(data)))
    return Range(max(marked, size // LIKELY_PAGE_BYTES, 1), max(marked, size // MIN_PAGE_BYTES + 1))


_MEDIA: Mapping[str, Callable[[Sent, Json], None]] = {
    "image_url": _image,
    "image": _image,
    "input_audio": _sound,
    "video_url": _film,
    "file": _document,
    "document": _document,
}


def _searches(tool: Json) -> Range:
    """Return the searches that a vendor's tool may make; a function of the caller makes none.

    A tool of an unknown kind counts as a search tool.
    """
    if tool.get("type") == "native" and isinstance(tool.get("tool"), dict):
        tool = tool["tool"]
    kind = tool.get("type")
    is_function = kind in _FUNCTION_KINDS or (
        kind is None and isinstance(tool.get("function"), dict)
    )
    if is_function or str(kind).startswith(_CLIENT_TOOLS):
        return Range()
    uses = tool.get("max_uses")
    most = uses if isinstance(uses, int) and not isinstance(uses, bool) else DEFAULT_MAX_SEARCHES
    return Range(min(most, 1), max(most, 0))
