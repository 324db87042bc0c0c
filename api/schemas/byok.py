"""Bodies of /byok: OpenRouter's names (its docs, "BYOK")."""

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StringConstraints

from api.accounts.schemas import Closed, Id, Name, Pattern
from api.core.openapi_bodies import body

Listed = Annotated[list[Id], Field(max_length=1_000)]
Models = Annotated[list[Pattern], Field(max_length=1_000)]


class CredentialChanges(Closed):
    """What is to change of a key; a field that is absent stays as it is, null takes it away."""

    name: Name | None = None
    key: Annotated[str, StringConstraints(min_length=1, max_length=10_000)] = ""
    disabled: StrictBool = False
    sort_order: Annotated[int, Field(strict=True, ge=0, le=10_000)] = 0
    is_fallback: StrictBool = False
    is_required: StrictBool = False
    is_byok_only: StrictBool = False
    allowed_models: Models | None = None
    allowed_api_key_hashes: Listed | None = None
    allowed_user_ids: Listed | None = None
    declared_region: Literal["global"] | None = None  # there are no others here
    declared_zdr: None = None


class CredentialRequest(CredentialChanges):
    """A key to keep, of the caller's own workspace unless it names another."""

    provider: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=100)]
    key: Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
    workspace_id: Id | None = None


BYOK_BODY = body(CredentialRequest, {"provider": "anthropic", "key": "sk-ant-…", "name": "prod"})

BYOK_CHANGES_BODY = body(CredentialChanges, {"disabled": True})
