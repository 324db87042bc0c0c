"""The OpenAPI document: FastAPI's description of the routes, completed.

FastAPI does not know the bodies that routes read themselves, the API key, the examples and the two
shapes of errors. They are added here.
"""

from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI

from api.core.bodies import REFERENCE, build_body_schema
from api.core.error_bodies import find_shape, list_models
from broker.completion import Json

DESCRIPTION = """
One OpenAI-compatible API for all providers.

- Send `Authorization: Bearer sk-wb-…` with every request except `/health`. The routes of models
  work without it, too.
- The same routes are under `/api/v1` (OpenRouter's base) and `/v1` (OpenAI's).
- `Idempotency-Key` makes it safe to repeat a request that creates something.
- `Prefer: respond-async` accepts a call as a job whose answer is fetched later. `Prefer: wait=N`
  waits N seconds for the answer.
- Every answer of a job has the headers `X-Job-Id` and `X-Generation-Id`.
"""

TAGS = {
    "chat": "Chat completions: answered, streamed, or accepted for later.",
    "responses": "Responses (OpenAI): answered, streamed, or created in the background.",
    "messages": "Messages (Anthropic): answered or streamed, and batches of them.",
    "operations": "The other operations: embeddings, images, reranking, moderation, audio.",
    "jobs": "Jobs, each with its answer, attempts and numbered events.",
    "batches": "Many requests at once, from a file or in the body.",
    "compare": "The same prompts sent to several models.",
    "evaluations": "Models compared by accuracy: prompts, graders, and figures with intervals.",
    "presets": "Named, versioned parts of a chat body. `@preset/slug` uses one.",
    "webhooks": "Webhook endpoints for events of jobs and batches, and every delivery.",
    "files": "Inputs and results of batches, images and audio.",
    "models": "The models of this installation, with their providers and prices.",
    "generations": "The usage and cost of a single completion.",
    "credits": "The payments and the spending of a workspace.",
    "usage": "Usage by day, or by any query.",
    "budgets": "Spending limits for a day, a week, a month, or without end.",
    "byok": "Provider keys that a workspace brings.",
    "keys": "Keys of this API, and their limits.",
    "workspaces": "Workspaces, which share keys, jobs and credit, and their members.",
    "users": "The people who can sign in.",
    "apps": "Apps that a user gives a key (PKCE).",
    "audit": "All administrative changes, with actor, time and address.",
    "health": "The state of this installation.",
}
"""The tags that group operations in the document."""

KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key from `waybill keys create` or `POST /keys`.",
}
ERRORS = {"4XX": "The request is refused.", "5XX": "Waybill or a provider failed."}
"""The descriptions of errors by status range."""


def complete(app: FastAPI) -> None:
    """Make the application serve the completed document."""
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
    components["securitySchemes"] = {"key": KEY}
    document["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    examples = read_examples()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                content["schema"] = build_body_schema(content["schema"]["title"])
            hoist_body(operation, schemas)
            add_examples(operation, examples.get(f"{method.upper()} {path}", {}))
            operation["responses"].pop("422", None)  # an invalid parameter is a 400 here
            operation["responses"] |= _errors_of(path)
            if not path.startswith("/health"):
                operation.setdefault("security", [{"key": []}])
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for model in list_models():
        _add_schema(model.model_json_schema(ref_template=REFERENCE), schemas)
    return document


def _errors_of(path: str) -> Json:
    """Return the responses for errors of a path, by status range."""
    shape = find_shape(path)
    schema = {"$ref": REFERENCE.format(model=shape.model.__name__)}
    return {
        status: {"description": text, "content": {shape.media_type: {"schema": schema}}}
        for status, text in ERRORS.items()
    }


def _add_schema(schema: Json, schemas: Json) -> None:
    """Add a schema, and the schemas that it defines, to the components.

    Raises ValueError if the components have another schema with the same name.
    """
    schema = dict(schema)
    for name, each in (schema.pop("$defs", {}) | {schema["title"]: schema}).items():
        if schemas.setdefault(name, each) != each:
            raise ValueError(f"Two schemas of the OpenAPI document have the name {name}.")


def hoist_body(operation: Json, schemas: Json) -> None:
    """Move the schema of an operation's body, and the schemas it refers to, to the components.

    A field that is absent from changes stays as it is, so their fields have no defaults.
    """
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = dict(content["schema"])
        for each in (schema, *schema.get("$defs", {}).values()):
            if each["title"].endswith("Changes"):
                for field in each["properties"].values():
                    field.pop("default", None)
        _add_schema(schema, schemas)
        content["schema"] = {"$ref": REFERENCE.format(model=schema["title"])}


EXAMPLES = Path(__file__).with_name("examples")


def read_examples() -> Json:
    """Return the example answers by operation (`GET /api/v1/jobs`), status and media type."""
    found: Json = {}
    for file in sorted(EXAMPLES.glob("*.json")):
        found |= orjson.loads(file.read_bytes())
    return found


def add_examples(operation: Json, answers: Json) -> None:
    """Add the examples of its answers to an operation of the document."""
    for status, response in operation["responses"].items():
        if by_media := answers.get(status):
            described = response.get("content", {})
            response["content"] = {
                media: _content(each, described.get(media, {}).get("schema"))
                for media, each in by_media.items()
            }


def _content(answer: Any, schema: Json | None) -> Json:
    match answer:
        case None:  # bytes have no example
            return {"schema": {"type": "string", "format": "binary"}}
        case str():
            return {"schema": {"type": "string"}, "example": answer}
    return {"schema": schema or {"type": "object"}, "example": answer}
