"""The input of a batch: OpenAI's JSONL, a file of prompts, or a table and a template.

A line of a file of prompts is a JSON string, or an object with `prompt` or `messages`. A template
is a prompt made from the columns of a row, as in `Translate {text} into {language}`.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from broker.completion import Json
from broker.table_files import TableError, first_and_all, is_table, read_rows

MAX_CUSTOM_ID = 512


class BadLineError(Exception):
    """A line that cannot be submitted; the text is the reason."""


def read_request(value: Any, number: int, model: str | None) -> Json:
    """Return the request of a line; `model` is used if it names none.

    Raises BadLineError.
    """
    if isinstance(value, str):
        value = {"prompt": value}
    if not isinstance(value, dict):
        raise BadLineError("neither a JSON string (a prompt) nor an object")
    custom_id = value.pop("custom_id", None)
    body = _body(value, model)
    return build_request(f"line-{number}" if custom_id is None else custom_id, body)


def build_request(custom_id: Any, body: Json) -> Json:
    """Return a request in OpenAI's form. Raises BadLineError."""
    line = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return check_custom_id(line)


def check_custom_id(line: Json) -> Json:
    """Return a batch line, once its `custom_id` is valid. Raises BadLineError."""
    custom_id = line.get("custom_id")
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MAX_CUSTOM_ID:
        raise BadLineError(f"custom_id must be a string of 1 to {MAX_CUSTOM_ID} characters")
    return line


def add_model(body: Json, model: str | None) -> Json:
    """Return a body that names a model. Raises BadLineError."""
    if body.get("model") or body.get("models"):
        return body
    if model is None:
        raise BadLineError("names no model, and none was chosen (-m)")
    return body | {"model": model}


def _body(value: Json, model: str | None) -> Json:
    # no caller reads a stream of a line
    excluded = {"prompt", "messages", "stream", "stream_options"}
    body: Json = {"messages": _messages(value)}
    body |= {name: part for name, part in value.items() if name not in excluded}
    return add_model(body, model)


def _messages(value: Json) -> list[Any]:
    prompt, messages = value.get("prompt"), value.get("messages")
    if (prompt is None) == (messages is None):
        raise BadLineError("a line has either `prompt` or `messages`")
    if prompt is not None:
        if not isinstance(prompt, str) or not prompt.strip():
            raise BadLineError("`prompt` must be a string that is not blank")
        return [{"role": "user", "content": prompt}]
    if not isinstance(messages, list) or not messages:
        raise BadLineError("`messages` must be a list with at least one message")
    return messages


_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


class TemplateError(Exception):
    """The template does not match the table; the text describes the change to make."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text with `{column}` in it; `{{` and `}}` stand for braces."""

    text: str

    def check(self, columns: Collection[str]) -> None:
        """Raise TemplateError where a variable is no column, or there is none."""
        names = self.variables
        if not names:
            raise TemplateError("the template names no column: write e.g. 'Translate {text}'")
        for name in names:
            if name not in columns:
                known = ", ".join(columns)
                raise TemplateError(f"the template: there is no column {name!r}; there are {known}")

    @property
    def variables(self) -> list[str]:
        return [match[1] for match in _PART.finditer(self.text) if match[1] is not None]

    def fill(self, row: Mapping[str, Any]) -> str:
        """Return the prompt of a row. Values that are not text are written as JSON, None as ''."""

        def part(match: re.Match[str]) -> str:
            return match[0][0] if match[1] is None else _text(row[match[1]])

        return _PART.sub(part, self.text)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return orjson.dumps(value, default=str).decode()


CUSTOM_ID = "custom_id"  # a column of this name is used as it is
SHOWN_PROBLEMS = 20


class SourceError(Exception):
    """The source cannot become a batch; the text has one problem on each line."""


@dataclass(frozen=True, slots=True)
class LineDefaults:
    """Defaults for lines that do not set a field."""

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
        """The digest of the content, which shows whether a line was changed."""
        content = orjson.dumps(orjson.loads(self.raw), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(content).hexdigest()[:16]


Read = tuple[int, Json | BadLineError]


def lines(path: Path, defaults: LineDefaults) -> Iterator[Line]:
    """Yield the requests of a source.

    Raises SourceError; for invalid lines at the end, with the first of them in its text.
    """
    problems: list[str] = []
    seen: dict[str, int] = {}
    try:
        for number, found in (
            _from_table(path, defaults) if is_table(path) else _from_jsonl(path, defaults)
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
        raise SourceError(_join_problems(problems))
    if not seen:
        raise SourceError(f"{path} is empty")


def row_id(row: dict[str, Any], number: int) -> str:
    """Return the custom_id of a table's row: its own column, or its number from 1."""
    own = row.get(CUSTOM_ID)
    return str(own) if own not in {None, ""} else f"row-{number}"


def _from_table(path: Path, defaults: LineDefaults) -> Iterator[Read]:
    if defaults.template is None:
        raise TemplateError("a table needs a template (--template), e.g. 'Translate {text}'")
    if defaults.model is None:
        raise TemplateError("a table names no model: choose one (-m)")
    template = Template(defaults.template)
    first, rows = first_and_all(read_rows(path), path)
    template.check(first.keys())
    for number, row in enumerate(rows, start=1):
        prompt = {"role": "user", "content": template.fill(row)}
        body = {"messages": [prompt], "model": defaults.model, **defaults.body}
        try:
            yield number, build_request(row_id(row, number), body)
        except BadLineError as error:
            yield number, error


def _from_jsonl(path: Path, defaults: LineDefaults) -> Iterator[Read]:
    if defaults.template is not None:
        raise TemplateError("a template is for tables (.csv, .tsv, .parquet)")
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.strip():
                continue
            try:
                yield number, _request(raw, number, defaults)
            except BadLineError as error:
                yield number, error


def _request(raw: bytes, number: int, defaults: LineDefaults) -> Json:
    """Return a request in OpenAI's form, or build one from a prompt. Raises BadLineError."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadLineError(
            f'not JSON ({error}): a prompt is written as a JSON string, "…", one a line'
        ) from None
    if not isinstance(value, dict) or not isinstance(value.get("body"), dict):
        made = read_request(value, number, defaults.model)
        return made | {"body": made["body"] | defaults.body}
    if defaults.model is not None:
        value["body"] = add_model(value["body"], defaults.model)
    return check_custom_id(value)


def _join_problems(problems: list[str]) -> str:
    more = len(problems) - SHOWN_PROBLEMS
    return "\n".join(problems[:SHOWN_PROBLEMS] + ([f"… and {more} more"] if more > 0 else []))
