"""Bodies of the routes under /byok. The names are OpenRouter's."""

from typing import Annotated, Literal, TypeAlias

from fastapi import Depends, Path
from pydantic import Field, StrictBool, StringConstraints

from api.accounts.schemas import Closed, Id, Name, Patterns
from api.core.bodies import JsonBody

ProviderSecret = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
Ids = Annotated[list[Id], Field(max_length=1_000)]

CredentialId: TypeAlias = Annotated[
    str, Path(alias="id", description="The id of the provider key (`byok_…`).")
]


class CredentialChanges(Closed):
    """Changes of a provider key; an absent field stays as it is, null removes it."""

    name: Name | None = Field(None, description="The name of the provider key.")
    key: ProviderSecret = Field("", description="The key itself. It is encrypted.")
    disabled: StrictBool = Field(False, description="Whether the key is not used.")
    sort_order: Annotated[int, Field(strict=True, ge=0, le=10_000)] = Field(
        0, description="Keys with a lower number are tried first."
    )
    is_fallback: StrictBool = Field(
        False, description="Whether the key is used only after the installation's key."
    )
    is_required: StrictBool = Field(
        False,
        description="Whether the installation's key is never used for the models of this key.",
    )
    is_byok_only: StrictBool = Field(
        False, description="Whether the installation's key is never used for this provider."
    )
    allowed_models: Patterns | None = Field(
        None, description="Slugs or patterns of the models that may use the key; null for all."
    )
    allowed_api_key_hashes: Ids | None = Field(
        None, description="The hashes of the API keys that may use the key; null for all."
    )
    allowed_user_ids: Ids | None = Field(
        None, description="The ids of the users whose keys may use the key; null for all."
    )
    declared_region: Literal["global"] | None = Field(
        None, description="Accepted for OpenRouter's clients, without effect."
    )
    declared_zdr: None = Field(
        None, description="Accepted for OpenRouter's clients, without effect."
    )


class CredentialRequest(CredentialChanges):
    """A new provider key."""

    provider: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=100)] = (
        Field(description="The slug of the provider.")
    )
    key: ProviderSecret = Field(description="The key itself. It is encrypted.")
    workspace_id: Id | None = Field(
        None, description="The id or the slug of the workspace; by default the caller's own."
    )


ByokBody: TypeAlias = Annotated[
    CredentialRequest,
    Depends(
        JsonBody(CredentialRequest, {"provider": "anthropic", "key": "sk-ant-…", "name": "prod"})
    ),
]

ByokChangesBody: TypeAlias = Annotated[
    CredentialChanges, Depends(JsonBody(CredentialChanges, {"disabled": True}))
]
