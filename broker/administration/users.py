"""Administer users: create, change, invite; the first user; users of an OpenID provider."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from broker.accounts import DEFAULT_WORKSPACE, Role, audit, find_workspace, sessions, tokens, users
from broker.accounts import users as members
from broker.accounts.audit import Act, Actor
from broker.accounts.tokens import Purpose, Token
from broker.errors import ConflictError, NotFoundError, PermissionDeniedError
from broker.settings import Settings

INVITATION_SECONDS = 7 * 86_400
FIRST_USER_SECONDS = 86_400
SYSTEM = Actor("system", "Waybill")


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to be made; with a workspace, a member of it."""

    email: str
    name: str = ""
    is_operator: bool = False
    workspace_id: str | None = None
    role: Role = Role.MEMBER


def create(connection: Connection, actor: Actor, wanted: NewUser, **columns: Any) -> Any:
    """Make a user and return the row. Raises ConflictError where the address is known."""
    if users.find_user(connection, wanted.email) is not None:
        raise ConflictError(f"{wanted.email} is a user already.", param="email")
    user_id = users.create_user(
        connection, wanted.email, wanted.name, is_operator=wanted.is_operator, **columns
    )
    details = {"email": wanted.email, "is_operator": wanted.is_operator}
    audit.note(connection, actor, Act("users.create", user_id, None, after=details))
    if wanted.workspace_id is not None:
        members.add_member(connection, wanted.workspace_id, user_id, wanted.role)
        act = Act("members.add", user_id, wanted.workspace_id, after={"role": wanted.role.value})
        audit.note(connection, actor, act)
    return get_user(connection, user_id)


def change(connection: Connection, actor: Actor, user_id: str, changes: Mapping[str, Any]) -> Any:
    """Set columns of a user; one who is disabled is signed out everywhere."""
    row = get_user(connection, user_id)
    users.change_user(connection, row.id, changes)
    if changes.get("disabled"):
        sessions.close_sessions(connection, row.id)
    before, after = audit.difference(row._mapping, changes)  # noqa: SLF001  # SQLAlchemy's name
    audit.note(connection, actor, Act("users.update", row.id, None, before, after))
    return get_user(connection, row.id)


def invite(connection: Connection, actor: Actor, user_id: str) -> str:
    """Return a token with which the user chooses a password, once, within a week."""
    row = get_user(connection, user_id)
    text = tokens.issue(connection, Token(Purpose.PASSWORD, row.id, None, {}), INVITATION_SECONDS)
    audit.note(connection, actor, Act("users.invite", row.id, None))
    return text


def choose_password(connection: Connection, token: str, password_hash: str) -> Any:
    """Use an invitation up: set the password, sign out everywhere; return the user's row."""
    used = tokens.use(connection, token, Purpose.PASSWORD)
    if used is None or used.user_id is None:
        raise _link_error()
    row = get_user(connection, used.user_id)
    users.change_user(connection, row.id, {"password_hash": password_hash})
    sessions.close_sessions(connection, row.id)
    audit.note(connection, Actor(row.id, row.email), Act("users.password", row.id, None))
    return row


def invite_first_user(connection: Connection) -> str | None:
    """Return a token with which somebody becomes the first user; None where there is one."""
    if users.has_users(connection):
        return None
    return tokens.issue(connection, Token(Purpose.FIRST_USER, None, None, {}), FIRST_USER_SECONDS)


def become_first_user(
    connection: Connection, token: str, wanted: NewUser, password_hash: str
) -> Any:
    """Use the first user's link up: they own the default workspace and run the installation."""
    if tokens.use(connection, token, Purpose.FIRST_USER) is None or users.has_users(connection):
        raise _link_error()
    first = NewUser(
        wanted.email, wanted.name, is_operator=True,
        workspace_id=DEFAULT_WORKSPACE, role=Role.OWNER,
    )  # fmt: skip
    return create(connection, SYSTEM, first, password_hash=password_hash)


@dataclass(frozen=True, slots=True)
class OpenIdSubject:
    """Somebody whom an OpenID provider vouches for (OpenID Connect Core 1.0, §2 and §5.1)."""

    issuer: str
    subject: str
    email: str
    email_verified: bool
    name: str = ""


def admit_subject(
    connection: Connection, who: OpenIdSubject, workspace_slug: str, role: Role
) -> Any:
    """Return the user whom a provider sends: known by subject, else by a verified address.

    A stranger is made a user where `workspace_slug` says which workspace strangers join; otherwise
    raises PermissionDeniedError.
    """
    row = users.find_user_of_subject(connection, who.issuer, who.subject)
    if row is None:
        row = _by_address(connection, who) or _stranger(connection, who, workspace_slug, role)
        known_as = {"oidc_issuer": who.issuer, "oidc_subject": who.subject}
        users.change_user(connection, row.id, known_as)
    if row.disabled:
        raise PermissionDeniedError("This user is disabled.")
    return row


def _by_address(connection: Connection, who: OpenIdSubject) -> Any | None:
    row = users.find_user(connection, who.email) if who.email else None
    if row is None:
        return None
    if not who.email_verified:
        raise PermissionDeniedError(
            f"{who.email} is a user here, and the provider has not verified that it is yours."
        )
    if row.oidc_subject is not None:
        raise PermissionDeniedError(f"{who.email} signs in as another person of the provider's.")
    return row


def _stranger(connection: Connection, who: OpenIdSubject, workspace_slug: str, role: Role) -> Any:
    joined = find_workspace(connection, workspace_slug) if workspace_slug else None
    if joined is None or not who.email_verified:
        raise PermissionDeniedError(
            f"{who.email or 'This person'} is not a user here: "
            "request an invitation from an administrator."
        )
    wanted = NewUser(who.email, who.name, workspace_id=joined.id, role=role)
    return create(connection, SYSTEM, wanted)


def welcome_link(settings: Settings, token: str) -> str:
    """Return where an invitation, or the first user's token, is used in a browser."""
    return f"{settings.public_url.rstrip('/')}/welcome?token={token}"


def get_user(connection: Connection, id_or_email: str) -> Any:
    """Return the row of the user with this id or address. Raises NotFoundError."""
    row = users.find_user(connection, id_or_email)
    if row is None:
        raise NotFoundError(f"There is no user {id_or_email}.", param="id")
    return row


def _link_error() -> PermissionDeniedError:
    return PermissionDeniedError("This link was used or has expired: request another one.")
