"""Google takes every field in two spellings, and the types of a schema in two as well."""

from collections.abc import Mapping
from typing import Any

from workers.simulator.requests import Json


def field(owner: Json, name: str) -> Any:
    """Return a field by its camelCase name, whichever way it is spelt."""
    return owner[name] if name in owner else owner.get(snake(name))


def snake(name: str) -> str:
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name)


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def json_schema(schema: Any) -> Any:
    """Return a schema with the types of JSON Schema: `OBJECT` is `object`."""
    if isinstance(schema, list):
        return [json_schema(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: value.lower() if key == "type" and isinstance(value, str) else json_schema(value)
        for key, value in schema.items()
    }
