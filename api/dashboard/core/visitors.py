"""The signed-in person who looks at a page, and the workspace that the page shows."""

from collections.abc import Sequence
from typing import Annotated, TypeAlias

from fastapi import Depends, Request

from api.core.services import get_services
from api.pages.page import find_visitor
from broker import accounts
from broker.accounts import Role, WorkspaceRow, users
from broker.accounts.users import UserRow
from broker.errors import NotFoundError
from broker.values import immutable

MOST_PLACES = 200
"""Workspaces that an operator can choose from. Others are reached by their path."""


class SignInRequiredError(Exception):
    """Nobody is signed in: the browser goes to the page for it, and to `path` after it."""

    def __init__(self, path: str) -> None:
        super().__init__("Sign in first.")
        self.path = path


@immutable
class Place:
    """A workspace that a person can look at."""

    id: str
    slug: str  # its id, if it has none
    name: str
    role: Role


@immutable
class Visitor:
    """A signed-in person in one workspace."""

    user: UserRow
    place: Place
    places: Sequence[Place]  # all that the person may choose

    @property
    def root(self) -> str:
        """Return the path below which the pages of the workspace are."""
        return f"/w/{self.place.slug}"

    @property
    def is_operator(self) -> bool:
        """Return whether the person administers the installation."""
        return self.user.is_operator

    @property
    def is_owner(self) -> bool:
        """Return whether the person owns the workspace, or may act as an owner."""
        return self.place.role is Role.OWNER

    @property
    def is_admin(self) -> bool:
        """Return whether the person administers the workspace."""
        return self.place.role.reaches(Role.ADMIN)

    @property
    def may_change(self) -> bool:
        """Return whether the person may run jobs and change things; a viewer may not."""
        return self.place.role.reaches(Role.MEMBER)


async def require_user(request: Request) -> UserRow:
    """Return the signed-in person. Raises SignInRequiredError."""
    user = await find_visitor(request)
    if user is not None:
        return user
    if request.method != "GET":
        raise SignInRequiredError("/dashboard")
    query = f"?{request.url.query}" if request.url.query else ""
    raise SignInRequiredError(request.url.path + query)


async def find_places(request: Request, user: UserRow) -> Sequence[Place]:
    """Return the workspaces of a person, oldest first; for an operator those of all people."""
    database = get_services(request).database
    if user.is_operator:
        rows, _ = await database.read(
            lambda connection: accounts.list_workspaces(connection, None, limit=MOST_PLACES)
        )
        return [_place_of(row) for row in rows]
    memberships = await database.read(users.list_memberships, user.id)
    return [Place(each.id, each.slug or each.id, each.name, each.role) for each in memberships]


async def read_visitor(request: Request, workspace: str) -> Visitor:
    """Return the visitor of a page of this workspace, which is named by its slug or id.

    Raises SignInRequiredError, and NotFoundError for a workspace of others.
    """
    user = await require_user(request)
    places = await find_places(request, user)
    for place in places:
        if workspace in (place.slug, place.id):
            return Visitor(user, place, places)
    if user.is_operator:
        row = await get_services(request).database.read(accounts.find_workspace, workspace)
        if row is not None:
            return Visitor(user, _place_of(row), places)
    raise NotFoundError(f"You are in no workspace {workspace!r}.")


VisitorDep: TypeAlias = Annotated[Visitor, Depends(read_visitor)]


def _place_of(row: WorkspaceRow) -> Place:
    """Return a workspace as an operator of the installation sees it."""
    return Place(row.id, row.slug or row.id, row.name, Role.OWNER)
