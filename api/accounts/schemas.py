"""Bodies of the routes of workspaces, members, users and the audit log; types of fields.

The names are OpenRouter's, and a few of Waybill's own.
"""

from typing import Annotated, Any, TypeAlias

from fastapi import Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from api.core.bodies import JsonBody
from api.core.request import AuditCursor
from broker.accounts import Role
from broker.enums import Store

Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, strip_whitespace=True, pattern=r"^[^\x00]*$"),
]
Slug = Annotated[str, StringConstraints(max_length=50, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Text = Annotated[str, StringConstraints(max_length=1_000, pattern=r"^[^\x00]*$")]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
JobCount = Annotated[int, Field(strict=True, ge=1, le=10_000)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00\s]+$")]
Patterns = Annotated[list[Pattern], Field(max_length=1_000)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]


WorkspaceRef: TypeAlias = Annotated[
    str, Path(alias="id", description="The id or the slug of the workspace.")
]
UserRef: TypeAlias = Annotated[str, Path(description="The id or the e-mail address of the user.")]

Offset: TypeAlias = Annotated[int, Query(ge=0, description="The number of objects to skip.")]
Limit: TypeAlias = Annotated[int, Query(ge=1, le=100, description="The most objects of a page.")]
ListedWorkspace: TypeAlias = Annotated[
    str | None,
    Query(description="The id or the slug of a workspace; by default all in reach."),
]


class Closed(BaseModel):
    """A body that may not have unknown fields, because each was meant to have an effect."""

    model_config = ConfigDict(extra="forbid")


class WorkspaceChanges(Closed):
    """Changes of a workspace; an absent field stays as it is."""

    name: Name = Field("", description="The name of the workspace.")
    slug: Slug = Field("", description="The name in URLs.")
    description: Text | None = Field(None, description="The owner's own words.")
    default_text_model: Name | None = Field(
        None, description="Stored for OpenRouter's clients, without effect."
    )
    default_image_model: Name | None = Field(
        None, description="Stored for OpenRouter's clients, without effect."
    )
    default_provider_sort: Name | None = Field(
        None, description="Stored for OpenRouter's clients, without effect."
    )
    store: Store | None = Field(
        None,
        description="The most that is stored of prompts and answers; null for the installation's "
        "setting.",
    )
    retention_days: Annotated[int, Field(strict=True, ge=1, le=36_500)] | None = Field(
        None,
        description="Days for which prompts and answers are kept; null for the installation's "
        "setting.",
    )
    unlimited: StrictBool = Field(
        False, description="Whether the workspace needs no credit. Only operators set it."
    )
    weight: Annotated[int, Field(strict=True, ge=1, le=1_000)] = Field(
        1,
        description="The share of capacity, compared with other workspaces. Only operators set it.",
    )
    requests_per_minute: Count | None = Field(
        None,
        description="The most requests in a minute of all keys together; null for no limit. Only "
        "operators set it.",
    )
    max_concurrent_jobs: JobCount | None = Field(
        None,
        description="The most jobs of all keys at the same time; null for no limit. Only operators "
        "set it.",
    )
    settings: dict[str, Any] = Field(
        {}, description="Further settings, e.g. `free_requests_per_day`. Only operators set them."
    )


class WorkspaceRequest(WorkspaceChanges):
    """A new workspace."""

    name: Name = Field(description="The name of the workspace.")
    slug: Slug | None = Field(  # type: ignore[assignment]  # optional here
        None, description="The name in URLs; by default made from the name."
    )


class MembersRequest(Closed):
    """The users to add to a workspace, or to remove from it."""

    user_ids: Annotated[list[Id], Field(min_length=1, max_length=100)] = Field(
        description="The ids of the users. A management key of the installation may add users by "
        "their e-mail addresses, too."
    )
    role: Role = Field(Role.MEMBER, description="The role of added users.")


class UserRequest(Closed):
    """A new user. The answer has a link with which the user chooses a password."""

    email: Annotated[str, StringConstraints(max_length=254)] = Field(
        description="The e-mail address."
    )
    name: Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")] = Field(
        "", description="The name; by default the e-mail address."
    )
    is_operator: StrictBool = Field(
        False, description="Whether the user administers the installation."
    )
    workspace_id: Id | None = Field(
        None, description="The id or the slug of a workspace that the user becomes a member of."
    )
    role: Role = Field(Role.MEMBER, description="The role in that workspace.")


class UserChanges(Closed):
    """Changes of a user; an absent field stays as it is."""

    name: Name = Field("", description="The name.")
    disabled: StrictBool = Field(False, description="Whether the user may not sign in.")
    is_operator: StrictBool = Field(
        False, description="Whether the user administers the installation."
    )


class AuditQuery(BaseModel):
    """A filter of the audit log."""

    limit: Annotated[int, Field(ge=1, le=1000)] = Field(100, description="The most entries.")
    after: AuditCursor | None = Field(
        None, description="The last id of the page before; without it the first page."
    )
    action: str | None = Field(
        None, description="One action (`keys.create`), or all actions of a kind (`keys`)."
    )
    actor: str | None = Field(None, description="The id of the key or user that acted.")
    object_id: str | None = Field(None, description="The id of the changed object.")
    since: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Entries from this time on, in Unix seconds."
    )
    until: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Entries before this time, in Unix seconds."
    )
    workspace_id: str | None = Field(None, description="The id or the slug of a workspace.")


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
