"""Bodies of the routes of keys and apps. The names are OpenRouter's, and a few of Waybill's own."""

from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias

from fastapi import Depends, Path
from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    StrictBool,
    StringConstraints,
    field_validator,
)

from api.accounts.schemas import Closed, Count, Id, JobCount, Name, Patterns
from api.core.bodies import JsonBody
from broker.accounts import CallerKind, LimitReset, Scope

Dollars = Annotated[float, Field(strict=True, ge=0, le=1e9)]
Scopes = Annotated[list[Scope], Field(max_length=len(Scope))]

KeyRef: TypeAlias = Annotated[str, Path(alias="hash", description="The hash or the id of the key.")]


def _check_future(time: datetime) -> datetime:
    if time <= datetime.now(UTC):
        raise ValueError("this moment is over")
    return time


FutureTime = Annotated[AwareDatetime, AfterValidator(_check_future)]


class KeyChanges(Closed):
    """Changes of a key; an absent field stays as it is, null removes it."""

    name: Name = Field("", description="The name of the key.")
    disabled: StrictBool = Field(False, description="Whether the key is refused.")
    limit: Dollars | None = Field(
        None, description="The spending limit in US dollars; null for none."
    )
    limit_reset: LimitReset | None = Field(
        None, description="The period of the limit (UTC); null for a limit without end."
    )
    include_byok_in_limit: StrictBool = Field(
        False,
        description="Whether the limit counts charges to the workspace's own provider accounts.",
    )
    expires_at: AwareDatetime | None = Field(
        None, description="The time from which the key is refused (ISO 8601); null for none."
    )
    workspace_id: Id = Field("", description="The id or the slug of the workspace.")
    requests_per_minute: Count | None = Field(
        None, description="The most requests in a minute; null for no limit."
    )
    max_concurrent_jobs: JobCount | None = Field(
        None, description="The most jobs at the same time; null for no limit."
    )
    allowed_models: Patterns | None = Field(
        None, description="Slugs or patterns (`acme/*`) of the models to use; null for all."
    )
    allowed_providers: Patterns | None = Field(
        None, description="Slugs or patterns of the providers to use; null for all."
    )
    scopes: Scopes = Field([], description="The additional permissions of an inference key.")


class KeyRequest(KeyChanges):
    """A new key."""

    name: Name = Field(description="The name of the key.")
    expires_at: FutureTime | None = Field(
        None, description="The time from which the key is refused (ISO 8601); null for none."
    )
    workspace_id: Id | None = Field(  # type: ignore[assignment]  # optional here
        None, description="The id or the slug of the workspace; by default the caller's own."
    )
    kind: Literal[CallerKind.INFERENCE, CallerKind.MANAGEMENT] = Field(
        CallerKind.INFERENCE, description="Whether the key runs completions or administers."
    )
    everywhere: StrictBool = Field(
        False, description="Whether a management key administers the whole installation."
    )
    creator_user_id: Id | None = Field(
        None,
        description="The id of the member that the key stands for; by default the caller, if a "
        "user calls.",
    )


class AppCodeRequest(Closed):
    """A request for a code that an app exchanges for a key (OpenRouter's PKCE flow)."""

    callback_url: Annotated[str, StringConstraints(max_length=2_000)] = Field(
        description="The URL of the app that receives the code."
    )
    code_challenge: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None, description="The challenge of the app's verifier (RFC 7636)."
    )
    code_challenge_method: Literal["S256", "plain"] = Field(
        "S256", description="How the challenge was computed."
    )
    limit: Dollars | None = Field(
        None, description="The spending limit of the key in US dollars; null for none."
    )
    usage_limit_type: LimitReset | None = Field(
        None, description="The period of the limit (UTC); null for a limit without end."
    )
    expires_at: FutureTime | None = Field(
        None, description="The time from which the key is refused (ISO 8601); null for none."
    )
    key_label: Name | None = Field(
        None, description="The name of the key; by default the host of the callback URL."
    )
    workspace_id: Id | None = Field(
        None, description="The id or the slug of the workspace; by default the caller's own."
    )
    scope: Annotated[str, StringConstraints(max_length=200)] = Field(
        "", description="The scopes of the key, separated by spaces."
    )

    @property
    def scopes(self) -> list[Scope]:
        """Return the scopes of the key, in the order of `Scope`."""
        return [scope for scope in Scope if scope.value in self.scope.split()]

    @field_validator("scope")
    @classmethod
    def _check_scope(cls, value: str) -> str:
        if unknown := sorted(set(value.split()) - set(Scope)):
            raise ValueError(f"{unknown[0]} is no scope: choose from {', '.join(Scope)}")
        return value


class CodeExchange(Closed):
    """A code to exchange for a key, with the proof that the app requested it."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description="The code that the callback URL received."
    )
    code_verifier: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        None, description="The verifier of the code's challenge."
    )
    code_challenge_method: Literal["S256", "plain"] | None = Field(
        None, description="How the challenge was computed; by default as the code says."
    )


def milliseconds(time: datetime | None) -> int | None:
    """Return a time in Unix milliseconds."""
    return None if time is None else int(time.timestamp() * 1000)


KeyBody: TypeAlias = Annotated[
    KeyRequest, Depends(JsonBody(KeyRequest, {"name": "ci", "limit": 25, "limit_reset": "monthly"}))
]

KeyChangesBody: TypeAlias = Annotated[KeyChanges, Depends(JsonBody(KeyChanges, {"disabled": True}))]

AppCodeBody: TypeAlias = Annotated[
    AppCodeRequest,
    Depends(JsonBody(AppCodeRequest, {"callback_url": "https://app.example.com/callback"})),
]

CodeExchangeBody: TypeAlias = Annotated[
    CodeExchange, Depends(JsonBody(CodeExchange, {"code": "…", "code_verifier": "…"}))
]
