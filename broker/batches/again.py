"""The lines of a batch that failed, for another batch. Pure."""

from collections.abc import Collection, Iterable, Iterator

import orjson


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
        line["body"] = {k: v for k, v in line["body"].items() if k != "models"} | {"model": model}
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        return raw  # it fails again as it did
    return orjson.dumps(line)
