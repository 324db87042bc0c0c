"""What a batch is made from: OpenAI's JSONL, a file of prompts, or a table and a template."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from broker.completion import Json
from cli.batch.tables import TableError, first_and_all, is_table, read_rows
from cli.batch.template import Template, TemplateError
from cli.run.file import BadLineError, parse

CUSTOM_ID = "custom_id"  # a column of this name is used as it is


class SourceError(Exception):
    """The source cannot be made into a batch; the text says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of every line that does not say it itself."""

    model: str | None = None
    template: str | None = None  # of a table's rows
    body: Json = field(default_factory=dict)  # more of every prompt's body


def batch_lines(path: Path, asked: Asked) -> Iterator[bytes]:
    """Yield the lines of a batch's input. Raises SourceError, at the first line that is wrong."""
    try:
        if is_table(path):
            yield from _from_table(path, asked)
        else:
            yield from _from_jsonl(path, asked)
    except (TableError, TemplateError) as error:
        raise SourceError(str(error)) from None


def row_id(row: dict[str, Any], number: int) -> str:
    """Return the custom_id of a table's row: its own column, or its number from 1."""
    own = row.get(CUSTOM_ID)
    return str(own) if own not in {None, ""} else f"row-{number}"


def _from_table(path: Path, asked: Asked) -> Iterator[bytes]:
    if asked.template is None:
        raise SourceError("a table needs --template, e.g. --template 'Translate {text}'")
    if asked.model is None:
        raise SourceError("a table names no model: say which with -m")
    template = Template(asked.template)
    first, rows = first_and_all(read_rows(path), path)
    template.check(first.keys())
    for number, row in enumerate(rows, start=1):
        prompt = {"role": "user", "content": template.fill(row)}
        body = {"messages": [prompt], "model": asked.model, **asked.body}
        yield _line({"custom_id": row_id(row, number), **REQUEST, "body": body})


def _from_jsonl(path: Path, asked: Asked) -> Iterator[bytes]:
    if asked.template is not None:
        raise SourceError("--template is for tables (.csv, .tsv, .parquet)")
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if raw.strip():
                yield _request(number, raw, asked, path)


def _request(number: int, raw: bytes, asked: Asked, path: Path) -> bytes:
    """Return OpenAI's line as it is, and a prompt as one."""
    try:
        value = orjson.loads(raw)
        if isinstance(value, dict) and isinstance(value.get("body"), dict):
            if asked.model is not None and not value["body"].get("model"):
                value["body"]["model"] = asked.model
                return _line(value)
            return raw.rstrip() + b"\n"
        line = parse(number, raw, asked.model)
    except orjson.JSONDecodeError as error:
        raise SourceError(f"{path}, line {number}: not JSON ({error})") from None
    except BadLineError as error:
        raise SourceError(f"{path}, line {number}: {error}") from None
    return _line({"custom_id": line.custom_id, **REQUEST, "body": line.body | asked.body})


REQUEST = {"method": "POST", "url": "/v1/chat/completions"}


def _line(value: Json) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
