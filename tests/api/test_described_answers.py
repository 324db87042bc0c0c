"""The schemas of the OpenAPI document fit the recorded answers, and describe what they name."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from api.openapi import read_examples
from tests.api.answers.documented import DOCUMENT, OPERATIONS


def closed(schema: Any) -> Any:
    """Return a schema that also refuses the fields it does not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(each) for name, each in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


COMPONENTS = {"schemas": closed(DOCUMENT["components"]["schemas"])}
RECORDED = [
    (operation, status, answer)
    for operation, by_status in read_examples().items()
    for status, by_media in by_status.items()
    for media, answer in by_media.items()
    if media == "application/json"
]


def schema_of(operation: str, status: str) -> dict[str, Any]:
    content = OPERATIONS[operation]["responses"][status]["content"]
    return content["application/json"]["schema"]


@pytest.mark.parametrize(("operation", "status", "answer"), RECORDED)
def test_a_recorded_answer_fits_its_schema(operation: str, status: str, answer: Any) -> None:
    validator = Draft202012Validator(schema_of(operation, status) | {"components": COMPONENTS})
    assert [f"{each.json_path}: {each.message}" for each in validator.iter_errors(answer)] == []


def test_every_header_parameter_is_described() -> None:
    headers = {
        each["name"]: each.get("description")
        for operation in OPERATIONS.values()
        for each in operation.get("parameters", ())
        if each["in"] == "header"
    }
    assert {"Prefer", "Idempotency-Key", "Last-Event-ID", "X-Store"} <= headers.keys()
    assert [name for name, text in headers.items() if not text] == []
