"""OpenAPI descriptions of bodies that routes read themselves (the hot path parses JSON once)."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.schemas.chat import ChatRequest
from api.schemas.jobs import JobRequest

_REFERENCE = "#/components/schemas/{model}"
_NAMES, _SCHEMAS = models_json_schema(
    [(ChatRequest, "validation"), (JobRequest, "validation")], ref_template=_REFERENCE
)


def component_schemas() -> dict[str, Any]:
    """Return the schemas that the descriptions below refer to."""
    schemas: dict[str, Any] = _SCHEMAS["$defs"]
    return schemas


def _body(schema: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    reference = {"$ref": _REFERENCE.format(model=schema.__name__)}
    content = {"application/json": {"schema": reference, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


_CHAT_EXAMPLE = {
    "model": "acme/small",
    "messages": [{"role": "user", "content": "Say hello in one sentence."}],
}

CHAT = _body(ChatRequest, _CHAT_EXAMPLE)
JOB = _body(JobRequest, {"body": _CHAT_EXAMPLE, "metadata": {"order": "42"}})
