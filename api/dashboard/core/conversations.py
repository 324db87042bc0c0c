"""Prompts and answers as pages show them: turns of parts, from the bodies of calls. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import orjson

from broker.completion import Json
from broker.values import immutable

MAX_TEXT = 100_000
"""The most characters of a part that a page shows."""
SHOWN_IMAGES = ("data:image/png;", "data:image/jpeg;", "data:image/webp;", "data:image/gif;")
"""Beginnings of URLs whose images a page shows. Those of other hosts are not loaded."""


class PartKind(StrEnum):
    """The kinds of parts, which are shown differently."""

    TEXT = "text"
    REASONING = "reasoning"
    IMAGE = "image"  # `text` is a data URI
    LINK = "link"  # a URL or the name of a file
    CALL = "call"  # of a tool; `text` has its arguments
    DATA = "data"  # JSON


@immutable
class Part:
    """A part of a turn."""

    kind: PartKind
    text: str
    name: str = ""  # of a tool or a file


@immutable
class Turn:
    """One message of a conversation."""

    role: str
    parts: Sequence[Part]


def read_messages(messages: Sequence[Json]) -> list[Turn]:
    """Return the turns of the messages of a chat."""
    return [_read_message(message) for message in messages if isinstance(message, Mapping)]


def read_answer(answer: Json) -> list[Turn]:
    """Return the turns of a stored answer: the choices of a chat, or the whole as data."""
    choices = answer.get("choices")
    if not isinstance(choices, list):
        return [Turn("answer", [_data(answer)])]
    turns = []
    for choice in choices:
        if isinstance(choice, Mapping) and isinstance(choice.get("message"), Mapping):
            turns.append(_read_message({"role": "assistant", **choice["message"]}))
        elif isinstance(choice, Mapping):
            turns.append(Turn("assistant", [Part(PartKind.TEXT, _cut(str(choice.get("text"))))]))
    return turns


def _read_message(message: Json) -> Turn:
    parts = [*_read_reasoning(message), *_read_content(message.get("content"))]
    parts += _read_images(message.get("images"))
    parts += _read_calls(message.get("tool_calls"))
    if message.get("refusal"):
        parts.append(Part(PartKind.TEXT, _cut(str(message["refusal"])), "refusal"))
    role = str(message.get("role") or "message")
    name = message.get("name") or message.get("tool_call_id")
    return Turn(f"{role} ({name})" if name else role, parts)


def _read_reasoning(message: Json) -> Iterator[Part]:
    text = message.get("reasoning") or message.get("reasoning_content")
    if isinstance(text, str) and text:
        yield Part(PartKind.REASONING, _cut(text))


def _read_content(content: Any) -> Iterator[Part]:
    if isinstance(content, str):
        if content:
            yield Part(PartKind.TEXT, _cut(content))
        return
    for part in content if isinstance(content, list) else ():
        if isinstance(part, Mapping):
            yield _read_part(part)


def _read_part(part: Mapping[str, Any]) -> Part:
    kind = part.get("type")
    if isinstance(part.get("text"), str):
        return Part(PartKind.TEXT, _cut(part["text"]))
    if kind == "image_url":
        return _image(_url_of(part.get("image_url")))
    if kind == "file" and isinstance(part.get("file"), Mapping):
        file = part["file"]
        return Part(PartKind.LINK, str(file.get("filename") or file.get("file_id") or "a file"))
    return _data(part)


def _read_images(images: Any) -> list[Part]:
    found = images if isinstance(images, list) else ()
    return [_image(_url_of(each.get("image_url"))) for each in found if isinstance(each, Mapping)]


def _read_calls(calls: Any) -> list[Part]:
    parts = []
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            arguments = _cut(str(function.get("arguments") or ""))
            parts.append(Part(PartKind.CALL, arguments, str(function.get("name"))))
        else:
            parts.append(_data(call))
    return parts


def _url_of(value: Any) -> str:
    return str(value.get("url") or "") if isinstance(value, Mapping) else str(value or "")


def _image(url: str) -> Part:
    if url.startswith(SHOWN_IMAGES) or url.startswith("/"):
        return Part(PartKind.IMAGE, url)
    return Part(PartKind.LINK, _cut(url[:300]))


def _data(value: Any) -> Part:
    return Part(PartKind.DATA, _cut(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
