"""The rows of a dataset as prompts. Pure.

Sources of the forms: github.com/openai/evals (`input`, `ideal`), the Evals API of OpenAI (`item`),
inspect-ai's Sample (`input`, `target`, `choices`), and the lines of a batch (`custom_id`, `body`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

from pydantic import ValidationError

from broker.completion import Json
from broker.evaluations.specification import MAX_PROMPTS, OWN_FIELDS, Prompt
from broker.requests.bodies import describe_problem

SHOWN_PROBLEMS = 20
ALIASES = {
    "ideal": "expected",
    "target": "expected",
    "__expected": "expected",
    "custom_id": "id",
    "system_prompt": "system",
}
"""Names of fields in other formats, and Waybill's."""

COLUMNS = frozenset({"id", "prompt", "expected"})
"""The columns of a table that are not metadata."""


class DatasetError(Exception):
    """A dataset that cannot be read; the text has one problem on each line."""


class RowError(Exception):
    """A row that is no prompt; the text is the reason, with the field."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a dataset, with its place as people find it: `line 3`."""

    place: str
    value: Any


@dataclass(slots=True)
class Problems:
    """The problems of a dataset; the first ones are shown."""

    texts: list[str] = field(default_factory=list)

    def add(self, place: str, text: str) -> None:
        """Add a problem at a place."""
        self.texts.append(f"{place}: {text}")

    def check(self) -> None:
        """Raise DatasetError if there is a problem."""
        more = len(self.texts) - SHOWN_PROBLEMS
        if self.texts:
            last = [f"… and {more} more"] if more > 0 else []
            raise DatasetError("\n".join(self.texts[:SHOWN_PROBLEMS] + last))


def read_rows(rows: Iterable[Row]) -> list[Prompt]:
    """Return the prompts of rows. Raises DatasetError that names each bad row and its field."""
    problems = Problems()
    prompts: list[Prompt] = []
    for row in rows:
        if len(prompts) >= MAX_PROMPTS:
            raise DatasetError(
                f"{row.place}: an evaluation takes {MAX_PROMPTS:,} prompts: split the dataset"
            )
        try:
            prompts.append(read_row(row.value))
        except RowError as error:
            problems.add(row.place, str(error))
    problems.check()
    if not prompts:
        raise DatasetError("the dataset has no row")
    return prompts


def read_row(value: Any) -> Prompt:
    """Return the prompt of a row in any of the forms. Raises RowError."""
    if isinstance(value, str):
        value = {"prompt": value}
    if not isinstance(value, dict):
        raise RowError("neither text (a prompt) nor an object")
    if isinstance(value.get("item"), dict):
        value = value["item"]
    fields = _rename(value)
    if isinstance(fields.get("body"), dict) and "messages" in fields["body"]:
        fields = _read_batch_line(fields)
    try:
        return Prompt.model_validate(_complete(fields))
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(map(str, problem["loc"][:2]))
        text = describe_problem(problem)
        raise RowError(f"{name}: {text}" if name else text) from None


def separate_columns(row: Mapping[str, Any]) -> Json:
    """Return the fields of a table's row; columns of other names become metadata."""
    renamed = _rename({str(name): value for name, value in row.items()})
    if "input" in renamed:
        renamed["prompt"] = renamed.pop("input")
    fields = {name: value for name, value in renamed.items() if name in COLUMNS}
    metadata = {name: value for name, value in renamed.items() if name not in COLUMNS}
    fields = {name: value for name, value in fields.items() if value not in (None, "")}
    return fields | ({"metadata": metadata} if metadata else {})


def _rename(value: Mapping[str, Any]) -> Json:
    """Return a row with Waybill's names. Raises RowError for two names of one field."""
    fields: Json = {}
    for name, each in value.items():
        own = ALIASES.get(name, name)
        if own in fields:
            raise RowError(f"{name}: the row has `{own}` already")
        fields[own] = each
    return fields


def _read_batch_line(fields: Json) -> Json:
    body: Json = fields["body"]
    kept = {name: value for name, value in body.items() if name not in OWN_FIELDS}
    own = {name: value for name, value in fields.items() if name not in {"body", "method", "url"}}
    return {**own, "messages": body["messages"], "body": kept}


def _complete(fields: Json) -> Json:
    """Return the fields with `input`, `system` and `choices` put into the prompt."""
    given = fields.pop("input", None)
    if isinstance(given, str):
        fields.setdefault("prompt", given)
    elif given is not None:
        fields.setdefault("messages", given)
    if isinstance(number := fields.get("id"), int) and not isinstance(number, bool):
        fields["id"] = str(number)
    choices = fields.pop("choices", None)
    if choices and isinstance(fields.get("prompt"), str):
        fields["prompt"] += _list_choices(choices)
    elif choices:
        raise RowError("choices: they need `input` or `prompt` as text")
    system = fields.pop("system", None)
    if isinstance(system, str) and isinstance(fields.get("prompt"), str):
        user = {"role": "user", "content": fields.pop("prompt")}
        fields["messages"] = [{"role": "system", "content": system}, user]
    return fields


def _list_choices(choices: Any) -> str:
    """Return the choices of a question as lines: `A) …`."""
    if not isinstance(choices, list) or len(choices) > len(ascii_uppercase):
        raise RowError(f"choices: must be a list of at most {len(ascii_uppercase)} texts")
    lines = [f"{letter}) {text}" for letter, text in zip(ascii_uppercase, choices, strict=False)]
    return "\n\n" + "\n".join(lines)
