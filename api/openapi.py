"""The OpenAPI document, completed: who may call, what the bodies are, how errors look.

FastAPI describes the routes. What it cannot know it is told here: the bodies that routes read
themselves, the key, what is answered, and the two shapes of an error.
"""

from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI

from api.core.bodies import REFERENCE
from api.core.errors import is_own_route
from broker.completion import Json

DESCRIPTION = """
One OpenAI-compatible API over every provider.

- Send `Authorization: Bearer sk-wb-…` with everything but `/health`; models can be
  looked at without.
- The same routes are under `/api/v1` (OpenRouter's base) and `/v1` (OpenAI's).
- `Idempotency-Key` makes any request that creates something safe to send again.
- `Prefer: respond-async` turns a call into a job to come back for; `Prefer: wait=N` waits so long.
- Every answer of a job carries `X-Job-Id` and `X-Generation-Id`.
"""

TAGS = {
    "chat": "Chat completions: answered, streamed, or accepted for later.",
    "operations": "Everything else that models do: vectors, pictures, rankings, sound.",
    "jobs": "Requests to come back for, each with its result, attempts and numbered events.",
    "batches": "Many requests at once, from a file or in the body.",
    "compare": "The same prompts put to several models.",
    "presets": "Named, versioned parts of a chat body: `@preset/slug` stands for one.",
    "webhooks": "Endpoints that are told what became of jobs and batches, and every delivery.",
    "files": "Inputs and results of batches, pictures and sound.",
    "models": "What can be asked for here, at which providers and prices.",
    "generations": "What a single completion consumed and cost.",
    "credits": "What a workspace has paid in and spent.",
    "usage": "What was used, by day or by any question.",
    "budgets": "What may be spent in a day, a week, a month, or ever.",
    "byok": "Keys of providers that a workspace brings along.",
    "keys": "Keys of this API, and their limits.",
    "workspaces": "Who shares keys, jobs and credit.",
    "users": "People who sign in.",
    "apps": "Apps that are given a key by whoever uses them (PKCE).",
    "audit": "Who changed what, when, from where.",
    "health": "Whether this installation is well.",
}
"""The tags that group operations in the document."""

KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key of `waybill keys create` or `POST /keys`.",
}
ENVELOPE = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "integer", "description": "The HTTP status."},
                "message": {"type": "string", "description": "What is wrong, and what to do."},
                "param": {"type": "string", "description": "The field that is to blame."},
                "metadata": {
                    "type": "object",
                    "properties": {"error_type": {"type": "string"}},
                    "additionalProperties": True,
                },
            },
        }
    },
}
PROBLEM = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:waybill:error:not_found"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, and what to do."},
        "param": {"type": "string", "description": "The field that is to blame."},
    },
    "additionalProperties": True,
}


def complete(app: FastAPI) -> None:
    """Have the application give out the completed document."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(describe())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    app.openapi_schema = None


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas.update(Error=ENVELOPE, Problem=PROBLEM)
    components["securitySchemes"] = {"key": KEY}
    document["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    examples = read_examples()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            hoist_body(operation, schemas)
            add_examples(operation, examples.get(f"{method.upper()} {path}", {}))
            operation["responses"].pop("422", None)  # a parameter that is wrong is a 400 here
            operation["responses"]["default"] = _error_of(path)
            if not path.startswith("/health"):
                operation.setdefault("security", [{"key": []}])
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document


def _error_of(path: str) -> dict[str, Any]:
    media, name = (
        ("application/problem+json", "Problem")
        if is_own_route(path)
        else ("application/json", "Error")
    )
    reference = {"$ref": f"#/components/schemas/{name}"}
    return {"description": "What went wrong.", "content": {media: {"schema": reference}}}


def hoist_body(operation: Json, schemas: Json) -> None:
    """Move the schema of an operation's body, and the schemas it refers to, to the components.

    A field that is absent from changes stays as it is, so their fields have no defaults.
    """
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = dict(content["schema"])
        found = schema.pop("$defs", {}) | {schema["title"]: schema}
        for name, each in found.items():
            if name.endswith("Changes"):
                for field in each["properties"].values():
                    field.pop("default", None)
        schemas.update(found)
        content["schema"] = {"$ref": REFERENCE.format(model=schema["title"])}


EXAMPLES = Path(__file__).with_name("examples")


def read_examples() -> Json:
    """Return the answers: by operation (`GET /api/v1/jobs`), by status, by media type."""
    found: Json = {}
    for file in sorted(EXAMPLES.glob("*.json")):
        found |= orjson.loads(file.read_bytes())
    return found


def add_examples(operation: Json, answers: Json) -> None:
    """Give an operation of the document the examples of its answers."""
    for status, response in operation["responses"].items():
        if by_media := answers.get(status):
            described = response.get("content", {})
            response["content"] = {
                media: _content(each, described.get(media, {}).get("schema"))
                for media, each in by_media.items()
            }


def _content(answer: Any, schema: Json | None) -> Json:
    match answer:
        case None:  # bytes: nothing to show
            return {"schema": {"type": "string", "format": "binary"}}
        case str():
            return {"schema": {"type": "string"}, "example": answer}
    return {"schema": schema or {"type": "object"}, "example": answer}
