"""OpenAPI descriptions of bodies that routes read themselves (the hot path parses JSON once)."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.schemas.accounts import (
    AppCodeRequest,
    CodeExchange,
    KeyChanges,
    KeyRequest,
    MembersRequest,
    UserChanges,
    UserRequest,
    WorkspaceChanges,
    WorkspaceRequest,
)
from api.schemas.batches import BatchRequest, RetryRequest
from api.schemas.byok import CredentialChanges, CredentialRequest
from api.schemas.compare import CompareRequest
from api.schemas.jobs import JobRequest
from api.schemas.money import AnalyticsQuery, BudgetBody, CheckoutRequest, TopUp
from api.schemas.webhooks import (
    EndpointChanges,
    EndpointRequest,
    EndpointRotationRequest,
    ReplayRequest,
    RotationRequest,
)
from broker.bodies import SCHEMAS
from broker.operations import Operation

_REFERENCE = "#/components/schemas/{model}"
_MODELS: list[type[BaseModel]] = [
    *SCHEMAS.values(),
    JobRequest,
    BatchRequest,
    RetryRequest,
    CompareRequest,
    EndpointRequest,
    EndpointChanges,
    EndpointRotationRequest,
    RotationRequest,
    ReplayRequest,
    KeyRequest,
    KeyChanges,
    WorkspaceRequest,
    WorkspaceChanges,
    MembersRequest,
    UserRequest,
    UserChanges,
    AppCodeRequest,
    CodeExchange,
    CredentialRequest,
    CredentialChanges,
    TopUp,
    CheckoutRequest,
    BudgetBody,
    AnalyticsQuery,
]
_NAMES, _SCHEMAS = models_json_schema(
    [(model, "validation") for model in _MODELS], ref_template=_REFERENCE
)
_CHAT = {
    "model": "acme/small",
    "messages": [{"role": "user", "content": "Say hello in one sentence."}],
}
_EXAMPLES: dict[Operation, dict[str, Any]] = {
    Operation.CHAT: _CHAT,
    Operation.COMPLETIONS: {"model": "acme/base", "prompt": "Once upon a time"},
    Operation.EMBEDDINGS: {"model": "acme/embed", "input": ["first text", "second text"]},
    Operation.IMAGES: {"model": "acme/paint", "prompt": "A lighthouse at dawn"},
    Operation.RERANK: {"model": "acme/rank", "query": "capital of France", "documents": ["Paris"]},
    Operation.TRANSCRIPTIONS: {
        "model": "acme/listen", "input_audio": {"data": "UklGRg==", "format": "wav"},
    },
    Operation.SPEECH: {"model": "acme/speak", "input": "Hello.", "voice": "alloy"},
}  # fmt: skip


def component_schemas() -> dict[str, Any]:
    """Return the schemas that the descriptions below refer to.

    What is left out of changes stays as it is: their fields have no defaults.
    """
    schemas: dict[str, Any] = _SCHEMAS["$defs"]
    for name, schema in schemas.items():
        if name.endswith("Changes"):
            for field in schema["properties"].values():
                field.pop("default", None)
    return schemas


def body_of(operation: Operation) -> dict[str, Any]:
    """Return what an operation's route takes."""
    return _body(SCHEMAS[operation], _EXAMPLES[operation])


def _object(example: dict[str, Any]) -> dict[str, Any]:
    """Return a body that has no schema of its own."""
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def _body(
    schema: type[BaseModel], example: dict[str, Any], *, required: bool = True
) -> dict[str, Any]:
    reference = {"$ref": _REFERENCE.format(model=schema.__name__)}
    content = {"application/json": {"schema": reference, "example": example}}
    return {"requestBody": {"required": required, "content": content}}


NO_KEY: dict[str, Any] = {"security": []}
KEY_OPTIONAL: dict[str, Any] = {"security": [{}, {"key": []}]}
LATER: dict[int | str, dict[str, Any]] = {
    202: {"description": "Accepted, for `Prefer: respond-async`, or `wait=N` that has passed."}
}
"""What a call answers beside what it was asked for."""

JOB = _body(JobRequest, {"body": _CHAT, "webhook": {"url": "https://example.com/hooks"}})
FILE_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["purpose", "file"],
                    "properties": {
                        "purpose": {"type": "string", "example": "batch"},
                        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
                        "expires_after[seconds]": {"type": "integer"},
                        "file": {"type": "string", "format": "binary"},
                    },
                }
            }
        },
    }
}
BATCH = _body(
    BatchRequest,
    {"endpoint": "/v1/chat/completions", "requests": [{"custom_id": "first", "body": _CHAT}]},
)
BATCH_RETRY = _body(RetryRequest, {}, required=False)
COMPARISON = _body(
    CompareRequest, {"models": ["acme/small", "acme/large"], "prompt": "Why is the sky blue?"}
)
ENDPOINT = _body(
    EndpointRequest, {"url": "https://example.com/hooks", "events": ["job.completed", "job.failed"]}
)
ENDPOINT_CHANGES = _body(EndpointChanges, {"disabled": False})
ENDPOINT_ROTATION = _body(EndpointRotationRequest, {"overlap_seconds": 3600}, required=False)
ROTATION = _body(RotationRequest, {"overlap_seconds": 3600}, required=False)
REPLAY = _body(ReplayRequest, {"since": 1_780_000_000, "only_missing": True}, required=False)
PRESET = _body(
    SCHEMAS[Operation.CHAT],
    {
        "model": "acme/small",
        "messages": [{"role": "system", "content": "Answer in one sentence."}],
        "temperature": 0.2,
    },
)
PRESET_CHOICE = _object({"version": 1})
TOP_UP = _body(TopUp, {"amount": 50, "reference": "inv-2026-0042"})
CHECKOUT = _body(CheckoutRequest, {"amount": 25, "return_url": "https://app.example.com/credits"})
STRIPE_EVENT = _object(
    {"id": "evt_…", "object": "event", "type": "checkout.session.completed", "data": {}}
)
BUDGET = _body(BudgetBody, {"limit_usd": 5, "soft": False})
ANALYTICS = _body(
    AnalyticsQuery,
    {
        "metrics": ["request_count", "total_usage"],
        "dimensions": ["model"],
        "granularity": "day",
        "filters": [{"field": "model", "operator": "eq", "value": "acme/small"}],
    },
)
KEY = _body(KeyRequest, {"name": "ci", "limit": 25, "limit_reset": "monthly"})
KEY_CHANGES = _body(KeyChanges, {"disabled": True})
WORKSPACE = _body(WorkspaceRequest, {"name": "Research", "slug": "research"})
WORKSPACE_CHANGES = _body(WorkspaceChanges, {"requests_per_minute": 600})
MEMBERS = _body(MembersRequest, {"user_ids": ["usr_…"], "role": "member"})
USER = _body(UserRequest, {"email": "ada@example.com", "name": "Ada Lovelace"})
USER_CHANGES = _body(UserChanges, {"disabled": True})
BYOK = _body(CredentialRequest, {"provider": "anthropic", "key": "sk-ant-…", "name": "prod"})
BYOK_CHANGES = _body(CredentialChanges, {"disabled": True})
APP_CODE = _body(AppCodeRequest, {"callback_url": "https://app.example.com/callback"})
CODE_EXCHANGE = _body(CodeExchange, {"code": "…", "code_verifier": "…"})
