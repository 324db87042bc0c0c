"""Answers of the routes of workspaces, members, users and the audit log, for the OpenAPI document.

Times are ISO 8601.
"""

from typing import Any, Literal

from pydantic import BaseModel, Field

from broker.enums import Store


class User(BaseModel):
    """A user."""

    id: str = Field(description="The id of the user (`usr_…`).")
    object: str = Field(description="`user`.")
    email: str = Field(description="The e-mail address.")
    name: str = Field(description="The name.")
    is_operator: bool = Field(description="Whether the user administers the installation.")
    disabled: bool = Field(description="Whether the user may not sign in.")
    has_password: bool = Field(description="Whether the user has chosen a password.")
    oidc_issuer: str | None = Field(
        description="The identity provider that the user signs in with."
    )
    created_at: str = Field(description="The time of creation.")
    last_seen_at: str | None = Field(description="The time of the last request.")


class UserAnswer(BaseModel):
    """One user."""

    data: User = Field(description="The user.")


class UserWithLink(UserAnswer):
    """One user, and the link to choose a password."""

    link: str = Field(description="The link; it works once.")


class PasswordLink(BaseModel):
    """A link to choose a password."""

    link: str = Field(description="The link; it works once.")


class UserPage(BaseModel):
    """A page of users, oldest first."""

    data: list[User] = Field(description="The users.")
    total_count: int = Field(description="The number of all users.")


class Member(BaseModel):
    """A member of a workspace."""

    id: str = Field(description="The ids of the workspace and the user.")
    workspace_id: str = Field(description="The id of the workspace.")
    user_id: str = Field(description="The id of the user.")
    role: str = Field(description="The role in the workspace.")
    email: str = Field(description="The e-mail address.")
    name: str = Field(description="The name.")
    created_at: str = Field(description="The time when the user became a member.")


class MemberPage(BaseModel):
    """A page of members."""

    data: list[Member] = Field(description="The members.")
    total_count: int = Field(description="The number of all members.")


class AddedMembers(BaseModel):
    """The members that were added."""

    data: list[Member] = Field(description="The members.")
    added_count: int = Field(description="The number of members.")


class RemovedMembers(BaseModel):
    """The number of members that were removed."""

    removed_count: int = Field(description="The number of members.")


class Deleted(BaseModel):
    """A confirmation."""

    deleted: bool = Field(description="True.")


class AcceptedDeletion(BaseModel):
    """A confirmation of a deletion that runs in the background."""

    accepted: bool = Field(description="True.")


class OrganizationMember(BaseModel):
    """A user in OpenRouter's shape."""

    id: str = Field(description="The id of the user (`usr_…`).")
    email: str = Field(description="The e-mail address.")
    first_name: str | None = Field(description="The first word of the name.")
    last_name: str | None = Field(description="The rest of the name.")
    role: Literal["org:admin", "org:member"] = Field(description="`org:admin` for operators.")


class OrganizationMemberPage(BaseModel):
    """A page of users, oldest first."""

    data: list[OrganizationMember] = Field(description="The users.")
    total_count: int = Field(description="The number of all users.")


class Workspace(BaseModel):
    """A workspace."""

    id: str = Field(description="The id of the workspace (`ws_…`).")
    slug: str = Field(description="The name in URLs.")
    name: str = Field(description="The name.")
    description: str | None = Field(description="The owner's own words.")
    default_text_model: str | None = Field(
        description="Stored for OpenRouter's clients, without effect."
    )
    default_image_model: str | None = Field(
        description="Stored for OpenRouter's clients, without effect."
    )
    default_provider_sort: str | None = Field(
        description="Stored for OpenRouter's clients, without effect."
    )
    store: Store | None = Field(
        description="The most that is stored of prompts and answers; null for the installation's."
    )
    retention_days: int | None = Field(
        description="Days for which prompts and answers are kept; null for the installation's."
    )
    unlimited: bool = Field(description="Whether the workspace needs no credit.")
    weight: int = Field(description="The share of capacity, compared with other workspaces.")
    requests_per_minute: int | None = Field(
        description="The most requests in a minute of all keys together; null for no limit."
    )
    max_concurrent_jobs: int | None = Field(
        description="The most jobs of all keys at the same time; null for no limit."
    )
    settings: dict[str, Any] = Field(description="All settings of the workspace.")
    created_at: str = Field(description="The time of creation.")
    updated_at: str | None = Field(description="The time of the last change.")
    created_by: str | None = Field(description="The id of the user or key that created it.")
    default_guardrail_id: str = Field(description="Always empty.")
    disabled_server_tools: list[str] | None = Field(description="Always null.")
    io_logging_api_key_ids: list[str] | None = Field(description="Always null.")
    io_logging_sampling_rate: float = Field(description="1.")
    is_data_discount_logging_enabled: bool = Field(description="False.")
    is_observability_broadcast_enabled: bool = Field(description="False.")
    is_observability_io_logging_enabled: bool = Field(description="False.")


class WorkspaceAnswer(BaseModel):
    """One workspace."""

    data: Workspace = Field(description="The workspace.")


class WorkspacePage(BaseModel):
    """A page of workspaces, oldest first."""

    data: list[Workspace] = Field(description="The workspaces.")
    total_count: int = Field(description="The number of all workspaces in reach.")


class AuditEntry(BaseModel):
    """An administrative action."""

    id: str = Field(description="The id of the entry (`aud_…`).")
    object: str = Field(description="`audit_entry`.")
    created_at: str = Field(description="The time of the action.")
    workspace_id: str | None = Field(
        description="The id of the workspace; null for the installation."
    )
    actor: str = Field(description="The id of the key or user that acted.")
    actor_label: str | None = Field(description="The label of the actor.")
    action: str = Field(description="The action, e.g. `keys.create`.")
    object_id: str | None = Field(description="The id of the object.")
    address: str | None = Field(description="The address that the request came from.")
    before: dict[str, Any] | None = Field(description="The changed fields before the action.")
    after: dict[str, Any] | None = Field(description="The changed fields after the action.")


class AuditPage(BaseModel):
    """A page of the audit log, newest first."""

    object: str = Field(description="`list`.")
    data: list[AuditEntry] = Field(description="The entries.")
    first_id: str | None = Field(description="The id of the first entry of the page.")
    last_id: str | None = Field(description="The last id: `after` of the next page.")
    has_more: bool = Field(description="Whether there is a next page.")
