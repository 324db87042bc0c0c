"""What a batch is made from: OpenAI's JSONL, a file of prompts, or a table and a template."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from broker.completion import Json
from cli.batch.prompts import BadLineError, checked, request, request_of, with_model
from cli.batch.template import Template, TemplateError
from cli.commands.batch.table_files import TableError, first_and_all, is_table, read_rows

CUSTOM_ID = "custom_id"  # a column of this name is used as it is
SHOWN_PROBLEMS = 20


class SourceError(Exception):
    """The source cannot be made into a batch; the text says why, a problem a line."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of every line that does not say it itself."""

    model: str | None = None
    template: str | None = None  # of a table's rows
    body: Json = field(default_factory=dict)  # more of every prompt's body


@dataclass(frozen=True, slots=True)
class Line:
    """One request, in OpenAI's form."""

    number: int  # of the line, or the row, from 1
    custom_id: str
    raw: bytes  # with the newline

    @property
    def digest(self) -> str:
        """Tells a line that was changed from the one whose result is there."""
        content = orjson.dumps(orjson.loads(self.raw), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(content).hexdigest()[:16]


Read = tuple[int, Json | BadLineError]


def lines(path: Path, asked: Asked) -> Iterator[Line]:
    """Yield the requests of a source; whoever reads to the end knows that all are good.

    Raises SourceError, at the end for lines that are wrong: it names the first of them.
    """
    problems: list[str] = []
    seen: dict[str, int] = {}
    try:
        for number, found in (
            _from_table(path, asked) if is_table(path) else _from_jsonl(path, asked)
        ):
            if isinstance(found, BadLineError):
                problems.append(f"{path}, line {number}: {found}")
                continue
            custom_id = found[CUSTOM_ID]
            if (first := seen.setdefault(custom_id, number)) != number:
                same = f"custom_id {custom_id!r} is that of line {first}"
                problems.append(f"{path}, line {number}: {same}")
            yield Line(number, custom_id, orjson.dumps(found, option=orjson.OPT_APPEND_NEWLINE))
    except (TableError, TemplateError, OSError) as error:
        raise SourceError(str(error)) from None
    if problems:
        raise SourceError(_told(problems))
    if not seen:
        raise SourceError(f"{path} is empty")


def row_id(row: dict[str, Any], number: int) -> str:
    """Return the custom_id of a table's row: its own column, or its number from 1."""
    own = row.get(CUSTOM_ID)
    return str(own) if own not in {None, ""} else f"row-{number}"


def _from_table(path: Path, asked: Asked) -> Iterator[Read]:
    if asked.template is None:
        raise TemplateError("a table needs --template, e.g. --template 'Translate {text}'")
    if asked.model is None:
        raise TemplateError("a table names no model: say which with -m")
    template = Template(asked.template)
    first, rows = first_and_all(read_rows(path), path)
    template.check(first.keys())
    for number, row in enumerate(rows, start=1):
        prompt = {"role": "user", "content": template.fill(row)}
        body = {"messages": [prompt], "model": asked.model, **asked.body}
        try:
            yield number, request(row_id(row, number), body)
        except BadLineError as error:
            yield number, error


def _from_jsonl(path: Path, asked: Asked) -> Iterator[Read]:
    if asked.template is not None:
        raise TemplateError("--template is for tables (.csv, .tsv, .parquet)")
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.strip():
                continue
            try:
                yield number, _request(raw, number, asked)
            except BadLineError as error:
                yield number, error


def _request(raw: bytes, number: int, asked: Asked) -> Json:
    """Return OpenAI's request as it is, and a prompt as one. Raises BadLineError."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadLineError(
            f'not JSON ({error}): a prompt is written as a JSON string, "…", one a line'
        ) from None
    if not isinstance(value, dict) or not isinstance(value.get("body"), dict):
        made = request_of(value, number, asked.model)
        return made | {"body": made["body"] | asked.body}
    if asked.model is not None:
        value["body"] = with_model(value["body"], asked.model)
    return checked(value)


def _told(problems: list[str]) -> str:
    more = len(problems) - SHOWN_PROBLEMS
    return "\n".join(problems[:SHOWN_PROBLEMS] + ([f"… and {more} more"] if more > 0 else []))
