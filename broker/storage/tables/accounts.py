"""Workspaces, keys, users, the audit log, and workspaces' provider credentials."""

from typing import Any, ClassVar

from sqlalchemy import Column, Index, Text, false
from sqlmodel import Field

from broker.enums import CallerKind, LimitReset, Role, TokenPurpose
from broker.storage.tables.columns import TableModel, big, enumeration


class Workspace(TableModel, table=True):
    """A company or a department: owns keys, jobs and a balance."""

    __tablename__: ClassVar[Any] = "workspaces"

    id: str = Field(primary_key=True)  # ws_…
    name: str
    slug: str | None = Field(default=None, unique=True, index=True)  # None once deleted
    description: str | None = Field(default=None, sa_column=Column(Text))
    unlimited: bool = False  # holds and settlements are booked, but never refused
    weight: int = Field(default=1, sa_column_kwargs={"server_default": "1"})  # of its batch share
    requests_per_minute: int | None = None  # None = no limit; over all its keys
    max_concurrent_jobs: int | None = None
    settings: str | None = Field(default=None, sa_column=Column(Text))  # JSON object
    created_by: str | None = None  # who made it: a user's or a key's id
    created_at: int = Field(sa_column=big())
    updated_at: int | None = Field(default=None, sa_column=big(nullable=True))
    deleted_at: int | None = Field(default=None, sa_column=big(nullable=True))


class ApiKey(TableModel, table=True):
    """A credential. The key itself is shown once and never stored."""

    __tablename__: ClassVar[Any] = "api_keys"

    id: str = Field(primary_key=True)  # key_…
    workspace_id: str = Field(foreign_key="workspaces.id", index=True)
    name: str
    label: str  # the key, masked
    hash: str = Field(unique=True)  # SHA-256 of the key, in hex
    kind: CallerKind = Field(
        default=CallerKind.INFERENCE,
        sa_column=enumeration(CallerKind, default=CallerKind.INFERENCE),
    )
    everywhere: bool = Field(  # a management key of the whole installation
        default=False, sa_column_kwargs={"server_default": false()}
    )
    disabled: bool = False
    limit_nanos: int | None = Field(default=None, sa_column=big(nullable=True))  # None = no limit
    limit_reset: LimitReset | None = Field(  # None = never
        default=None, sa_column=enumeration(LimitReset, nullable=True)
    )
    include_byok_in_limit: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    requests_per_minute: int | None = None
    max_concurrent_jobs: int | None = None
    allowed_models: str | None = Field(default=None, sa_column=Column(Text))  # JSON list
    allowed_providers: str | None = Field(default=None, sa_column=Column(Text))  # JSON list
    scopes: str | None = Field(default=None, sa_column=Column(Text))  # JSON list; None = all
    created_by: str | None = None  # the user it stands for
    expires_at: int | None = Field(default=None, sa_column=big(nullable=True))
    last_used_at: int | None = Field(default=None, sa_column=big(nullable=True))  # by the minute
    created_at: int = Field(sa_column=big())
    updated_at: int | None = Field(default=None, sa_column=big(nullable=True))
    deleted_at: int | None = Field(default=None, sa_column=big(nullable=True))


class User(TableModel, table=True):
    """A person who signs in: with a password, or through an OpenID provider."""

    __tablename__: ClassVar[Any] = "users"
    __table_args__: ClassVar[Any] = (
        Index("uq_users_subject", "oidc_issuer", "oidc_subject", unique=True),
    )

    id: str = Field(primary_key=True)  # usr_…
    email: str = Field(unique=True)  # lower case
    name: str
    password_hash: str | None = None  # argon2id
    oidc_issuer: str | None = None
    oidc_subject: str | None = None
    is_operator: bool = False  # of the whole installation
    disabled: bool = False
    created_at: int = Field(sa_column=big())
    last_seen_at: int | None = Field(default=None, sa_column=big(nullable=True))


class Member(TableModel, table=True):
    """A user's place in a workspace."""

    __tablename__: ClassVar[Any] = "members"

    workspace_id: str = Field(primary_key=True, foreign_key="workspaces.id")
    user_id: str = Field(primary_key=True, foreign_key="users.id", index=True)
    role: Role = Field(sa_column=enumeration(Role))
    created_at: int = Field(sa_column=big())


class UserSession(TableModel, table=True):
    """A browser that is signed in; its cookie's SHA-256 is kept."""

    __tablename__: ClassVar[Any] = "user_sessions"

    hash: str = Field(primary_key=True)
    user_id: str = Field(foreign_key="users.id", index=True)
    created_at: int = Field(sa_column=big())
    expires_at: int = Field(sa_column=big())


class OneTimeToken(TableModel, table=True):
    """A secret that works once: an invitation, the first user's link, an app's sign-in code."""

    __tablename__: ClassVar[Any] = "one_time_tokens"

    hash: str = Field(primary_key=True)  # SHA-256 of the token, in hex
    purpose: TokenPurpose = Field(sa_column=enumeration(TokenPurpose))
    user_id: str | None = None
    workspace_id: str | None = None
    details: str | None = Field(default=None, sa_column=Column(Text))  # JSON object
    created_at: int = Field(sa_column=big())
    expires_at: int = Field(sa_column=big())
    used_at: int | None = Field(default=None, sa_column=big(nullable=True))


class AuditEntry(TableModel, table=True):
    """One administrative action. Rows are added, and never changed."""

    __tablename__: ClassVar[Any] = "audit_entries"
    __table_args__: ClassVar[Any] = (Index("ix_audit_workspace", "workspace_id", "id"),)

    id: str = Field(primary_key=True)  # aud_…
    workspace_id: str | None = None  # None: it concerns the installation
    actor: str  # a key's or a user's id; cli, system
    actor_label: str | None = None  # how a reader knows them: the masked key, the e-mail address
    action: str  # keys.create
    object_id: str
    address: str | None = None  # the network address it came from
    before: str | None = Field(default=None, sa_column=Column(Text))  # JSON object, no secrets
    after: str | None = Field(default=None, sa_column=Column(Text))
    created_at: int = Field(sa_column=big())


class ProviderCredential(TableModel, table=True):
    """A workspace's own key of a provider, encrypted (see `encryption`); it is not shown again."""

    __tablename__: ClassVar[Any] = "provider_credentials"
    __table_args__: ClassVar[Any] = (
        Index("ix_provider_credentials_workspace", "workspace_id", "provider", "sort_order"),
    )

    id: str = Field(primary_key=True)  # byok_…
    workspace_id: str = Field(foreign_key="workspaces.id")
    provider: str
    name: str | None = None
    label: str  # the key, masked
    encrypted_secret: str = Field(
        sa_column=Column("sealed", Text, key="encrypted_secret", nullable=False)
    )
    sort_order: int = 0  # among the keys of this provider; lower goes first
    is_fallback: bool = False  # tried after the installation's key
    is_required: bool = False  # the installation's key is not used for what this one serves
    is_byok_only: bool = False  # nor for anything else of this provider
    disabled: bool = False
    disabled_reason: str | None = Field(default=None, sa_column=Column(Text))  # None: its owner's
    last_error: str | None = Field(default=None, sa_column=Column(Text))
    last_error_at: int | None = Field(default=None, sa_column=big(nullable=True))
    allowed_models: str | None = Field(default=None, sa_column=Column(Text))  # JSON list of slugs
    allowed_key_ids: str | None = Field(default=None, sa_column=Column(Text))  # JSON list
    allowed_user_ids: str | None = Field(default=None, sa_column=Column(Text))  # JSON list
    created_by: str | None = None
    created_at: int = Field(sa_column=big())
    updated_at: int = Field(sa_column=big())
