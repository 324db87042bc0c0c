"""The input of `waybill run`: one prompt or chat body a line."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from broker.completion import Json

MAX_CUSTOM_ID = 512


class BadLineError(Exception):
    """A line that cannot be submitted, and why."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the input, understood."""

    number: int  # from 1, as editors count
    custom_id: str
    body: Json

    @property
    def digest(self) -> str:
        """Tells a line that was changed from the one whose result is there."""
        content = orjson.dumps([self.custom_id, self.body], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(content).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Input:
    """A whole input file: what can be run, and what is wrong with the rest."""

    lines: list[Line]
    problems: list[str]


def read(texts: Iterable[str | bytes], model: str | None) -> Input:
    """Understand every line; `model` is for those that name none. Empty lines are passed over."""
    lines: list[Line] = []
    problems: list[str] = []
    seen: dict[str, int] = {}
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            continue
        try:
            line = parse(number, text, model)
        except BadLineError as error:
            problems.append(f"line {number}: {error}")
            continue
        if (first := seen.setdefault(line.custom_id, number)) != number:
            problems.append(f"line {number}: custom_id {line.custom_id!r} is that of line {first}")
        lines.append(line)
    return Input(lines, problems)


def parse(number: int, text: str | bytes, model: str | None) -> Line:
    """Understand one line. Raises BadLineError."""
    try:
        value: Any = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadLineError(f"not JSON ({error})") from None
    if isinstance(value, str):
        value = {"prompt": value}
    if not isinstance(value, dict):
        raise BadLineError("neither a JSON string (a prompt) nor an object")
    custom_id = value.pop("custom_id", None)
    if custom_id is None:
        custom_id = f"line-{number}"
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MAX_CUSTOM_ID:
        raise BadLineError(f"custom_id must be a string of 1 to {MAX_CUSTOM_ID} characters")
    return Line(number, custom_id, _body(value, model))


def _body(value: Json, model: str | None) -> Json:
    # nobody watches the lines of a run: a stream would only cost an event log
    left_out = {"prompt", "messages", "stream", "stream_options"}
    body: Json = {"messages": _messages(value)}
    body |= {name: part for name, part in value.items() if name not in left_out}
    if not body.get("model") and not body.get("models"):
        if model is None:
            raise BadLineError("names no model, and there is no -m")
        body["model"] = model
    return body


def _messages(value: Json) -> list[Any]:
    prompt, messages = value.get("prompt"), value.get("messages")
    if (prompt is None) == (messages is None):
        raise BadLineError("give it either `prompt` or `messages`")
    if prompt is not None:
        if not isinstance(prompt, str) or not prompt.strip():
            raise BadLineError("`prompt` must be a string with something in it")
        return [{"role": "user", "content": prompt}]
    if not isinstance(messages, list) or not messages:
        raise BadLineError("`messages` must be a list with at least one message")
    return messages
