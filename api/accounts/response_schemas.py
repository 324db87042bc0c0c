"""Answers of the routes of users, members and the audit log, for the OpenAPI document.

Times are ISO 8601.
"""

from typing import Any

from pydantic import BaseModel, Field


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
    before: dict[str, Any] | None = Field(description="What was changed, before.")
    after: dict[str, Any] | None = Field(description="What was changed, afterwards.")


class AuditPage(BaseModel):
    """A page of the audit log, newest first."""

    object: str = Field(description="`list`.")
    data: list[AuditEntry] = Field(description="The entries.")
    first_id: str | None = Field(description="The id of the first entry of the page.")
    last_id: str | None = Field(description="The last id: `after` of the next page.")
    has_more: bool = Field(description="Whether there is a next page.")
