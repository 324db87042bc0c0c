"""A batch's results: read as they come, written as JSON lines or as a table.

A table has the input's columns beside the answers.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import orjson

from broker.batches.prompt_files import row_id
from broker.completion import Json
from broker.table_files import first_and_all, read_rows, writing_rows
from cli.client.client import Client
from cli.commands.batch.progress import ENDED

PAGE = 500


def pages(client: Client, batch_id: str, ended_after: float = 0) -> Iterator[Json]:
    """Yield a batch with its results, a page at a time in the order of the input.

    Those before `ended_after` (Unix seconds) are left out. Raises ServerError.
    """
    after, has_more = 0, True
    while has_more:
        params: dict[str, str | int] = {"results": "true", "limit": PAGE, "after": after}
        if ended_after:
            params["ended_after"] = str(ended_after)
        page = client.get(f"/batches/{batch_id}", params)
        yield page
        after, has_more = page["last_line"], page["has_more"]


class NewResults:
    """Reads the new results of a batch: each once, and none of a known line."""

    def __init__(
        self, client: Client, batch_id: str, known: Iterable[str], on_result: Callable[[Json], None]
    ) -> None:
        self._client = client
        self._batch_id = batch_id
        self._seen = set(known)
        self._on_result = on_result
        self._since = 0.0

    def poll(self) -> Json:
        """Pass new results to `on_result`; return the batch. Raises ServerError."""
        until = None
        for batch in pages(self._client, self._batch_id, self._since):  # there is one at least
            until = until or batch["complete_until"]
            if batch["status"] in ENDED:
                self._from_files(batch)
                break
            for result in batch["results"]:
                self._once(result)
        self._since = until or self._since
        return batch

    def _from_files(self, batch: Json) -> None:
        """Pass on the results in the files of an ended batch, which are complete."""
        for file_id in (batch["output_file_id"], batch["error_file_id"]):
            if file_id is None:
                continue
            with tempfile.TemporaryFile() as file:
                self._client.download(f"/files/{file_id}/content", file)
                file.seek(0)
                for raw in file:
                    self._once(orjson.loads(raw))

    def _once(self, result: Json) -> None:
        if result["custom_id"] not in self._seen:
            self._seen.add(result["custom_id"])
            self._on_result(result)


ADDED = ("answer", "error", "answered_by", "cost", "input_tokens", "output_tokens")
"""Columns that a table of answers has after those of the input."""


def results(client: Client, batch_id: str) -> Iterator[Json]:
    """Yield the available results in the order of the input. Raises ServerError."""
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

    `source` is the table from which the batch was made: each of its rows is written with its
    answer. Without it, a row is a `custom_id` with its answer.
    """
    cells = {result["custom_id"]: _cells(result) for result in found}
    if source is None:
        rows: Iterator[dict[str, Any]] = ({"custom_id": name} for name in cells)
        columns = ["custom_id"]
    else:
        first, rows = first_and_all(read_rows(source), source)
        columns = list(first)
    count = 0
    with writing_rows(path, [*columns, *(name for name in ADDED if name not in columns)]) as write:
        for count, row in enumerate(rows, start=1):  # counts
            write(row | cells.get(row_id(row, count), dict.fromkeys(ADDED)))
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
    """Return the text of an answer; one that is not of a chat is returned as JSON."""
    choices = body.get("choices") or []
    if choices:
        message = choices[0].get("message") or {}
        content = message.get("content", choices[0].get("text"))
        if isinstance(content, str):
            return content
    return orjson.dumps(body.get("data", body)).decode()
