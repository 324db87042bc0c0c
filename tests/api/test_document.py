"""The OpenAPI document is valid, and says which operations need a key."""

import re

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.openapi import hoist_body
from tests.api.answers.documented import DOCUMENT, OPERATIONS
from tests.api.conftest import Api

KEYED = {
    name: each["security"] == [{"key": []}]
    for name, each in OPERATIONS.items()
    if "/api/v1/" in name  # the rest is for the machines of whoever runs this
}
VALUES = {"version": "1", "interval": "daily"}  # that a path takes; of all others, any


def test_the_document_is_valid() -> None:
    found = OpenAPIV31SpecValidator(DOCUMENT).iter_errors()  # type: ignore[arg-type]
    assert [each.message for each in found] == []


def test_every_operation_is_described_under_a_name_of_its_own() -> None:
    assert [name for name, each in OPERATIONS.items() if not each.get("description")] == []
    tags = {each["tags"][0] for each in OPERATIONS.values()}
    assert tags == {each["name"] for each in DOCUMENT["tags"]}
    names = {each["operationId"] for each in OPERATIONS.values()}
    assert len(names) == len(OPERATIONS)


async def test_what_is_said_to_need_a_key_refuses_those_who_have_none(api: Api) -> None:
    refused = set()
    for operation in KEYED:
        method, path = operation.split()
        place = re.sub(r"\{(\w+)\}", lambda name: VALUES.get(name[1], "none"), path)
        query = {"id": "gen-none"} if "/generation" in path else {}
        answer = await api.http.request(method, place, params=query)
        if answer.status_code == 401:
            refused.add(operation)
    assert refused == {name for name, needs_key in KEYED.items() if needs_key}


def test_a_budget_has_scopes_of_its_own() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["BudgetScope"]["enum"] == ["workspace", "member", "key"]
    assert schemas["Scope"]["enum"] == ["jobs", "files", "webhooks", "presets"]


def test_two_schemas_cannot_have_one_name() -> None:
    operation = {"requestBody": {"content": {"application/json": {"schema": {"title": "Scope"}}}}}
    with pytest.raises(ValueError, match="the name Scope"):
        hoist_body(operation, {"Scope": {"title": "Scope", "type": "string"}})
