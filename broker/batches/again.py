"""The lines of a batch that failed, for another batch. Pure."""

from collections.abc import Collection, Iterable, Iterator

import orjson

from broker.completion import Json
from broker.presets.merging import MARK


def failed_lines(
    lines: Iterable[tuple[bytes, int]], done: Collection[int], model: str | None
) -> Iterator[bytes]:
    """Yield the lines whose numbers are not among `done`; `model` replaces each one's own."""
    for number, (raw, _) in enumerate(lines, start=1):
        if number not in done:
            yield (raw if model is None else _with_model(raw, model)).rstrip(b"\r\n") + b"\n"


def _with_model(raw: bytes, model: str) -> bytes:
    try:
        line = orjson.loads(raw)
        line["body"] = _asking(model, line["body"])
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        return raw  # it fails again as it did
    return orjson.dumps(line)


def _asking(model: str, body: Json) -> Json:
    """Return a body that asks this model; the preset that its own named with it stays."""
    own = body.get("model")
    preset = own.partition(MARK)[2] if isinstance(own, str) else ""
    kept = {name: value for name, value in body.items() if name != "models"}
    return kept | {"model": f"{model}{MARK}{preset}" if preset else model}
