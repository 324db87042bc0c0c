"""Check bodies of requests. Unknown fields are accepted, because providers know more of them."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from broker.completion import Json
from broker.requests.bodies.operations import SCHEMAS
from broker.requests.bodies.problems import build_error, describe_problem

__all__ = ["SCHEMAS", "describe_problem", "invalid", "validated"]

Body = TypeVar("Body", bound=BaseModel)


def validated(schema: type[Body], body: Json, *, inside: str | None = None) -> Body:
    """Check a body against its schema. Raises an error that names the field."""
    try:
        return schema.model_validate(body)
    except ValidationError as error:
        raise build_error(error, body, [inside] if inside else []) from None
