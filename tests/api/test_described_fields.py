"""The OpenAPI document types every answer, and describes every parameter and property."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.answers.documented import DOCUMENT, OPERATIONS

SCHEMAS = DOCUMENT["components"]["schemas"]
EMPTY = ({}, {"type": "object"})
"""Schemas that say nothing about the fields of an answer."""


def schemas_in(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every schema with properties within a part of the document, and those it refers to."""
    waiting, names = [value], set()
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        if not isinstance(each, dict):
            continue
        if "properties" in each:
            yield each
        name = each.get("$ref")
        if isinstance(name, str) and name not in names:
            names.add(name)
            waiting.append(SCHEMAS[name.removeprefix("#/components/schemas/")])
        waiting += [part for key, part in each.items() if key not in ("example", "examples")]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_json_answer_has_a_schema(operation: str) -> None:
    untyped = [
        status
        for status, response in OPERATIONS[operation]["responses"].items()
        for media, content in response.get("content", {}).items()
        if media.endswith("json") and content.get("schema", {}) in EMPTY
    ]
    assert untyped == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_success_has_content(operation: str) -> None:
    responses = OPERATIONS[operation]["responses"]
    successes = [status for status in responses if status.startswith("2") and status != "204"]
    assert [status for status in successes if not responses[status].get("content")] == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_parameter_is_described(operation: str) -> None:
    parameters = OPERATIONS[operation].get("parameters", [])
    assert [each["name"] for each in parameters if not each.get("description")] == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_property_is_described(operation: str) -> None:
    described = OPERATIONS[operation]
    found = {
        f"{schema.get('title', 'untitled')}.{name}"
        for part in (described.get("requestBody", {}), described["responses"])
        for schema in schemas_in(part)
        for name, each in schema["properties"].items()
        if not each.get("description")
    }
    assert sorted(found) == []
