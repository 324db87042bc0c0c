"""Compute the shape of an answer: its keys and the kinds of their values, at every depth."""

import json
from typing import Any

KINDS = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}


def shape(answer: Any, place: str = "") -> set[tuple[str, str]]:
    """Return (key, kind) of everything in an answer; `[]` stands for each entry of a list."""
    match answer:
        case dict():
            inside = [shape(value, f"{place}.{name}".strip(".")) for name, value in answer.items()]
            return {(place, "object")}.union(*inside)
        case list():
            return {(place, "list")}.union(*[shape(each, f"{place}[]") for each in answer])
        case str() if not place:
            return shape_of_text(answer)
    return {(place, KINDS[type(answer)])}


def shape_of_text(text: str) -> set[tuple[str, str]]:
    """Return that of a stream's or a file's lines of JSON, else of a table's or metrics' header."""
    lines = [each.removeprefix("data: ") for each in text.splitlines()]
    found = [shape(json.loads(each)) for each in lines if each.startswith("{")]
    headers = [each for each in lines if each.startswith(("event: ", "# TYPE "))]
    columns = [] if found or headers else lines[0].split(",")
    return {(each, "text") for each in [*headers, *columns]}.union(*found)


def differences(recorded: Any, answered: Any) -> list[str]:
    """Tell in words how an answer differs in shape from the recorded one."""
    before, now = shape(recorded), shape(answered)
    lost = [f"`{key}` ({kind}) is no longer there" for key, kind in sorted(before - now)]
    return lost + [f"`{key}` ({kind}) is new" for key, kind in sorted(now - before)]
