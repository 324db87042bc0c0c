"""The prompts and test cases of a promptfoo configuration. Pure.

Source: promptfoo.dev/docs/configuration/reference. Each prompt is filled with the variables of each
test case. Of the assertions, those that name an expected answer are read.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import orjson

from broker.completion import Json
from broker.evaluations.datasets.rows import DatasetError, Row
from broker.evaluations.specification import MAX_PROMPTS

Kind = TypeVar("Kind", list[Any], dict[str, Any])
_VARIABLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_NAME = re.compile(r"\s*([A-Za-z_]\w*)\s*")
EXPECTING = frozenset({"equals", "contains", "icontains", "regex", "similar", "contains-any"})
"""Assertions whose value is the expected answer."""


def is_promptfoo(value: Any) -> bool:
    """Return whether a document is a promptfoo configuration."""
    return isinstance(value, dict) and "prompts" in value and "tests" in value


def list_cases(value: Any) -> list[Row]:
    """Return a row for each prompt and test case. Raises DatasetError that names the field."""
    templates = _list_texts(value["prompts"])
    default = value.get("defaultTest") or {}
    if not isinstance(value["tests"], list) or not isinstance(default, dict):
        raise DatasetError("tests: must be a list of test cases in this file")
    rows = (
        Row(f"tests.{number}", row)
        for number, test in enumerate(value["tests"])
        for row in _fill_test(templates, default, test, f"tests.{number}")
    )
    return list(itertools.islice(rows, MAX_PROMPTS + 1))  # the reader refuses the last one


def _fill_test(
    templates: Sequence[str], default: Mapping[str, Any], test: Any, place: str
) -> Iterator[Json]:
    if not isinstance(test, dict):
        raise DatasetError(f"{place}: must be an object")
    values: Json = {}
    asserted: list[Any] = []
    for name, each in (("defaultTest", default), (place, test)):
        values |= _get(each, "vars", dict, name)
        asserted += _get(each, "assert", list, name)
    expected = _find_expected(asserted, place)
    lists = [each if isinstance(each, list) else [each] for each in values.values()]
    for combined in itertools.product(*lists):
        variables = dict(zip(values, combined, strict=True))
        for template in templates:
            row: Json = {"metadata": variables, **_fill(template, variables, place)}
            if test.get("description"):
                row["id"] = str(test["description"])
            if expected is not None:
                row["expected"] = expected
            yield row


def _get(test: Mapping[str, Any], name: str, kind: type[Kind], place: str) -> Kind:
    """Return a field of a test case; an empty one if it is absent."""
    value = test.get(name) or kind()
    if not isinstance(value, kind):
        raise DatasetError(f"{place}.{name}: must be {'a list' if kind is list else 'an object'}")
    return value


def _list_texts(prompts: Any) -> list[str]:
    found = prompts if isinstance(prompts, list) else [prompts]
    texts: list[str] = []
    for number, each in enumerate(found):
        text = each.get("raw") if isinstance(each, dict) else each
        if not isinstance(text, str) or text.startswith("file://"):
            raise DatasetError(f"prompts.{number}: must be the text of a prompt, not a file")
        texts.append(text)
    return texts


def _fill(template: str, variables: Mapping[str, Any], place: str) -> Json:
    """Return the prompt of a template, or its messages if it is a list of them in JSON."""

    def put(match: re.Match[str]) -> str:
        name = _NAME.fullmatch(match[1])
        if name is None:
            raise DatasetError(f"prompts: {match[0]!r} is not the name of a variable")
        if name[1] not in variables:
            raise DatasetError(f"{place}.vars: there is no variable {name[1]!r}")
        value = variables[name[1]]
        if isinstance(value, str) and value.startswith("file://"):
            raise DatasetError(f"{place}.vars.{name[1]}: files are not read: write its text")
        return value if isinstance(value, str) else orjson.dumps(value).decode()

    text = _VARIABLE.sub(put, template)
    if text.lstrip().startswith("["):
        try:
            return {"messages": orjson.loads(text)}
        except orjson.JSONDecodeError:
            pass
    return {"prompt": text}


def _find_expected(asserted: Sequence[Any], place: str) -> Any:
    """Return the expected answer that the assertions name."""
    found = None
    for number, each in enumerate(asserted):
        kind = each.get("type") if isinstance(each, dict) else None
        if kind not in EXPECTING or "value" not in each:
            raise DatasetError(
                f"{place}.assert.{number}.type: {kind!r} names no expected answer; known are "
                f"{', '.join(sorted(EXPECTING))}. Other checks are graders of the evaluation."
            )
        if found is not None:
            raise DatasetError(f"{place}.assert.{number}: a test case has one expected answer")
        found = each["value"]
    return found
