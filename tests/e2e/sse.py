"""Server-sent events read strictly, so that a malformed frame is seen and not forgiven."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple


class Frame(NamedTuple):
    """One event of a stream."""

    number: int
    name: str
    data: str

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.data))


def frames(text: str) -> list[Frame]:
    """Read a whole stream; a frame that the end cut off does not count."""
    return list(read(text.splitlines(keepends=True)))


def read(lines: Iterable[str]) -> Iterator[Frame]:
    """Read frames from lines as they come."""
    fields: dict[str, str] = {}
    for line in lines:
        text = line.rstrip("\r\n")
        if text.startswith(":"):
            continue
        if not text:
            assert fields, "an empty event: some clients stumble over it"
            yield Frame(int(fields.get("id", 0)), fields.get("event", ""), fields["data"])
            fields = {}
            continue
        name, colon, value = text.partition(": ")
        assert colon, f"not a field: {text!r}"
        fields[name] = value


def content(told: Iterable[Frame]) -> str:
    """The text that the chunks among these frames carry."""
    chunks = [f.json for f in told if f.data != "[DONE]" and f.name in {"", "chunk"}]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    return "".join(choice.get("delta", {}).get("content") or "" for choice in choices)
