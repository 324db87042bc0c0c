"""Bodies of the routes for keys, workspaces, users and provider keys.

The names are OpenRouter's, with ours beside them.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import Depends, Path
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    field_validator,
)

from api.core.bodies import JsonBody
from api.core.request import AuditCursor
from broker.accounts import CallerKind, LimitReset, Role, Scope
from broker.enums import Store

Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, strip_whitespace=True, pattern=r"^[^\x00]*$"),
]
Slug = Annotated[str, StringConstraints(max_length=50, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Text = Annotated[str, StringConstraints(max_length=1_000, pattern=r"^[^\x00]*$")]
Dollars = Annotated[float, Field(strict=True, ge=0, le=1e9)]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Places = Annotated[int, Field(strict=True, ge=1, le=10_000)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00\s]+$")]
Patterns = Annotated[list[Pattern], Field(max_length=1_000)]
Scopes = Annotated[list[Scope], Field(max_length=len(Scope))]
Id = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]


WorkspaceRef: TypeAlias = Annotated[
    str, Path(alias="id", description="The id or the slug of the workspace.")
]
UserRef: TypeAlias = Annotated[str, Path(description="The id or the e-mail address of the user.")]
KeyRef: TypeAlias = Annotated[str, Path(alias="hash", description="The hash or the id of the key.")]
CredentialId: TypeAlias = Annotated[
    str, Path(alias="id", description="The id of the provider key (`byok_…`).")
]


class Closed(BaseModel):
    """A field that is not known is refused: it was meant to do something."""

    model_config = ConfigDict(extra="forbid")


def _ahead(moment: datetime) -> datetime:
    if moment <= datetime.now(UTC):
        raise ValueError("this moment is over")
    return moment


Ahead = Annotated[AwareDatetime, AfterValidator(_ahead)]


class KeyChanges(Closed):
    """Changes of a key; an absent field stays as it is, null removes it."""

    name: Name = ""
    disabled: StrictBool = False
    limit: Dollars | None = None
    limit_reset: LimitReset | None = None
    include_byok_in_limit: StrictBool = False
    expires_at: AwareDatetime | None = None
    workspace_id: Id = ""
    requests_per_minute: Count | None = None
    max_concurrent_jobs: Places | None = None
    allowed_models: Patterns | None = None
    allowed_providers: Patterns | None = None
    scopes: Scopes = []


class KeyRequest(KeyChanges):
    """A new key, of the caller's own workspace unless it names another."""

    name: Name
    expires_at: Ahead | None = None
    workspace_id: Id | None = None  # type: ignore[assignment]  # the caller's own
    kind: Literal[CallerKind.INFERENCE, CallerKind.MANAGEMENT] = CallerKind.INFERENCE
    everywhere: StrictBool = False  # a management key of the whole installation
    creator_user_id: Id | None = None


class WorkspaceChanges(Closed):
    """Changes of a workspace; an absent field stays as it is."""

    name: Name = ""
    slug: Slug = ""
    description: Text | None = None
    default_text_model: Name | None = None
    default_image_model: Name | None = None
    default_provider_sort: Name | None = None
    store: Store | None = None  # what is kept of prompts and answers
    retention_days: Annotated[int, Field(strict=True, ge=1, le=36_500)] | None = None
    unlimited: StrictBool = False
    weight: Annotated[int, Field(strict=True, ge=1, le=1_000)] = 1
    requests_per_minute: Count | None = None
    max_concurrent_jobs: Places | None = None
    settings: dict[str, Any] = {}


class WorkspaceRequest(WorkspaceChanges):
    name: Name
    slug: Slug | None = None  # type: ignore[assignment]  # made of the name


class MembersRequest(Closed):
    """The users to add (with a role) or to remove."""

    user_ids: Annotated[list[Id], Field(min_length=1, max_length=100)]
    role: Role = Role.MEMBER


class UserRequest(Closed):
    """A new user. The answer has a link with which they choose a password."""

    email: Annotated[str, StringConstraints(max_length=254)]
    name: Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")] = ""
    is_operator: StrictBool = False
    workspace_id: Id | None = None
    role: Role = Role.MEMBER


class UserChanges(Closed):
    name: Name = ""
    disabled: StrictBool = False
    is_operator: StrictBool = False


class AppCodeRequest(Closed):
    """A code that an app exchanges for a key (OpenRouter's PKCE flow)."""

    callback_url: Annotated[str, StringConstraints(max_length=2_000)]
    code_challenge: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    code_challenge_method: Literal["S256", "plain"] = "S256"
    limit: Dollars | None = None
    usage_limit_type: LimitReset | None = None
    expires_at: Ahead | None = None
    key_label: Name | None = None
    workspace_id: Id | None = None
    scope: Annotated[str, StringConstraints(max_length=200)] = ""

    @property
    def scopes(self) -> list[Scope]:
        """Return the scopes that the app asks for, in the order of `Scope`."""
        return [scope for scope in Scope if scope.value in self.scope.split()]

    @field_validator("scope")
    @classmethod
    def _known(cls, value: str) -> str:
        if unknown := sorted(set(value.split()) - set(Scope)):
            raise ValueError(f"{unknown[0]} is no scope: choose from {', '.join(Scope)}")
        return value


class CodeExchange(Closed):
    code: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    code_verifier: Annotated[str, StringConstraints(max_length=200)] | None = None
    code_challenge_method: Literal["S256", "plain"] | None = None


class AuditQuery(BaseModel):
    """A filter of the audit log; `since` and `until` are Unix seconds."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    after: AuditCursor | None = None  # the last id of the page before
    action: str | None = None  # one (`keys.create`), or all about a kind (`keys`)
    actor: str | None = None
    object_id: str | None = None
    since: Annotated[float, Field(ge=0)] | None = None
    until: Annotated[float, Field(ge=0)] | None = None
    workspace_id: str | None = None


def milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)


KeyBody: TypeAlias = Annotated[
    KeyRequest, Depends(JsonBody(KeyRequest, {"name": "ci", "limit": 25, "limit_reset": "monthly"}))
]

KeyChangesBody: TypeAlias = Annotated[KeyChanges, Depends(JsonBody(KeyChanges, {"disabled": True}))]

WorkspaceBody: TypeAlias = Annotated[
    WorkspaceRequest, Depends(JsonBody(WorkspaceRequest, {"name": "Research", "slug": "research"}))
]

WorkspaceChangesBody: TypeAlias = Annotated[
    WorkspaceChanges, Depends(JsonBody(WorkspaceChanges, {"requests_per_minute": 600}))
]

MembersBody: TypeAlias = Annotated[
    MembersRequest, Depends(JsonBody(MembersRequest, {"user_ids": ["usr_…"], "role": "member"}))
]

UserBody: TypeAlias = Annotated[
    UserRequest,
    Depends(JsonBody(UserRequest, {"email": "ada@example.com", "name": "Ada Lovelace"})),
]

UserChangesBody: TypeAlias = Annotated[
    UserChanges, Depends(JsonBody(UserChanges, {"disabled": True}))
]

AppCodeBody: TypeAlias = Annotated[
    AppCodeRequest,
    Depends(JsonBody(AppCodeRequest, {"callback_url": "https://app.example.com/callback"})),
]

CodeExchangeBody: TypeAlias = Annotated[
    CodeExchange, Depends(JsonBody(CodeExchange, {"code": "…", "code_verifier": "…"}))
]


Listed = Annotated[list[Id], Field(max_length=1_000)]
Models = Annotated[list[Pattern], Field(max_length=1_000)]


class CredentialChanges(Closed):
    """Changes of a key; an absent field stays as it is, null removes it."""

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


ByokBody: TypeAlias = Annotated[
    CredentialRequest,
    Depends(
        JsonBody(CredentialRequest, {"provider": "anthropic", "key": "sk-ant-…", "name": "prod"})
    ),
]

ByokChangesBody: TypeAlias = Annotated[
    CredentialChanges, Depends(JsonBody(CredentialChanges, {"disabled": True}))
]
