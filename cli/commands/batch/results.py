"""A batch's results as a person wants them: JSON lines, or a table beside the input's columns."""

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import orjson

from broker.completion import Json
from cli.batch.feed import pages
from cli.client.client import Client
from cli.commands.batch.source import row_id
from cli.commands.batch.table_files import first_and_all, read_rows, writing_rows

ADDED = ("answer", "error", "answered_by", "cost", "input_tokens", "output_tokens")
"""Columns that a table of answers has after those of the input."""


def results(client: Client, batch_id: str) -> Iterator[Json]:
    """Yield the results that there are, in the order of the input. Raises ServerError."""
    for page in pages(client, batch_id):
        yield from page["results"]


def write_lines(path: Path, found: Iterator[Json]) -> int:
    """Write results as JSON lines; return how many."""
    count = 0
    first = list(islice(found, 1))  # where there is no answer, no file is made
    with path.open("wb") as file:
        for count, result in enumerate(chain(first, found), start=1):  # noqa: B007  # counts
            file.write(orjson.dumps(result, option=orjson.OPT_APPEND_NEWLINE))
    return count


def write_table(path: Path, found: Iterator[Json], source: Path | None) -> int:
    """Write results as a table; return how many rows it has.

    With the table that the batch was made from, every row of it comes back with its answer; without
    it, a row is a `custom_id` with its answer.
    """
    told = {result["custom_id"]: _cells(result) for result in found}
    if source is None:
        rows: Iterator[dict[str, Any]] = ({"custom_id": name} for name in told)
        columns = ["custom_id"]
    else:
        first, rows = first_and_all(read_rows(source), source)
        columns = list(first)
    count = 0
    with writing_rows(path, [*columns, *(name for name in ADDED if name not in columns)]) as write:
        for count, row in enumerate(rows, start=1):  # counts
            write(row | told.get(row_id(row, count), dict.fromkeys(ADDED)))
    return count


def _cells(result: Json) -> dict[str, Any]:
    response = result["response"] or {}
    body = response.get("body") or {}
    usage = body.get("usage") or {}
    is_good = response.get("status_code") == 200  # noqa: PLR2004  # HTTP
    error = result["error"] or body.get("error") or {}
    return {
        "answer": _answer(body) if is_good else None,
        "error": None if is_good else error.get("message"),
        "answered_by": body.get("model") if is_good else None,
        "cost": usage.get("cost"),
        "input_tokens": usage.get("prompt_tokens"),
        "output_tokens": usage.get("completion_tokens"),
    }


def _answer(body: Json) -> str:
    """Return the text of an answer; what is no chat's is given as JSON."""
    choices = body.get("choices") or []
    if choices:
        message = choices[0].get("message") or {}
        content = message.get("content", choices[0].get("text"))
        if isinstance(content, str):
            return content
    return orjson.dumps(body.get("data", body)).decode()
