"""Administer users: create, change, invite; the first user; users of an OpenID provider."""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from broker.accounts import DEFAULT_WORKSPACE, Role, audit, find_workspace, sessions, tokens, users
from broker.accounts.audit import Actor, AuditedChange
from broker.accounts.tokens import Token
from broker.accounts.users import UserRow
from broker.completion import Json
from broker.enums import TokenPurpose
from broker.errors import ConflictError, NotFoundError, PermissionDeniedError
from broker.settings import Settings

INVITATION_SECONDS = 7 * 86_400
FIRST_USER_SECONDS = 86_400
SYSTEM = Actor("system", "Waybill")


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to create, and the workspace that the user becomes a member of, if any."""

    email: str
    name: str = ""
    is_operator: bool = False
    workspace_id: str | None = None
    role: Role = Role.MEMBER


def create(
    connection: Connection, actor: Actor, new: NewUser, password_hash: str | None = None
) -> UserRow:
    """Create a user and return the row. Raises ConflictError if the address is taken."""
    if users.find_user(connection, new.email) is not None:
        raise ConflictError(f"{new.email} is a user already.", param="email")
    user_id = users.create_user(
        connection,
        new.email,
        new.name,
        is_operator=new.is_operator,
        password_hash=password_hash,
    )
    details = {"email": new.email, "is_operator": new.is_operator}
    audit.record(connection, actor, AuditedChange("users.create", user_id, None, after=details))
    if new.workspace_id is not None:
        users.add_member(connection, new.workspace_id, user_id, new.role)
        role = {"role": new.role.value}
        added = AuditedChange("members.add", user_id, new.workspace_id, after=role)
        audit.record(connection, actor, added)
    return get_user(connection, user_id)


def change(connection: Connection, actor: Actor, user_id: str, changes: Json) -> UserRow:
    """Set columns of a user and return the new row. A disabled user is signed out everywhere."""
    row = get_user(connection, user_id)
    users.change_user(connection, row.id, changes)
    if changes.get("disabled"):
        sessions.close_sessions(connection, row.id)
    before, after = audit.compare(row._asdict(), changes)
    audit.record(connection, actor, AuditedChange("users.update", row.id, None, before, after))
    return get_user(connection, row.id)


def invite(connection: Connection, actor: Actor, user_id: str) -> str:
    """Return a token with which the user chooses a password, once, within a week."""
    row = get_user(connection, user_id)
    text = tokens.issue(
        connection, Token(TokenPurpose.PASSWORD, row.id, None, {}), INVITATION_SECONDS
    )
    audit.record(connection, actor, AuditedChange("users.invite", row.id, None))
    return text


def choose_password(connection: Connection, token: str, password_hash: str) -> UserRow:
    """Use an invitation: set the password, sign out everywhere; return the user's row."""
    used = tokens.use(connection, token, TokenPurpose.PASSWORD)
    if used is None or used.user_id is None:
        raise _link_error()
    row = get_user(connection, used.user_id)
    users.change_user(connection, row.id, {"password_hash": password_hash})
    sessions.close_sessions(connection, row.id)
    audit.record(
        connection, Actor(row.id, row.email), AuditedChange("users.password", row.id, None)
    )
    return row


def invite_first_user(connection: Connection) -> str | None:
    """Return a token for the first user, or None if there are users already."""
    if users.has_users(connection):
        return None
    return tokens.issue(
        connection, Token(TokenPurpose.FIRST_USER, None, None, {}), FIRST_USER_SECONDS
    )


def become_first_user(
    connection: Connection, token: str, new: NewUser, password_hash: str
) -> UserRow:
    """Use the link of the first user, who becomes an operator and owns the default workspace."""
    if tokens.use(connection, token, TokenPurpose.FIRST_USER) is None or users.has_users(
        connection
    ):
        raise _link_error()
    first = replace(new, is_operator=True, workspace_id=DEFAULT_WORKSPACE, role=Role.OWNER)
    return create(connection, SYSTEM, first, password_hash)


@dataclass(frozen=True, slots=True)
class OpenIdSubject:
    """A person whom an OpenID provider has authenticated (OpenID Connect Core 1.0, §2 and §5.1)."""

    issuer: str
    subject: str
    email: str
    email_verified: bool
    name: str = ""


def admit_subject(
    connection: Connection, subject: OpenIdSubject, workspace_slug: str, role: Role
) -> UserRow:
    """Return the user with this subject, or else with this verified address.

    An unknown person becomes a member of the workspace `workspace_slug`. Raises
    PermissionDeniedError if that is empty.
    """
    row = users.find_user_of_subject(connection, subject.issuer, subject.subject)
    if row is None:
        row = _find_by_address(connection, subject)
        row = row or _create_from_subject(connection, subject, workspace_slug, role)
        identity = {"oidc_issuer": subject.issuer, "oidc_subject": subject.subject}
        users.change_user(connection, row.id, identity)
    if row.disabled:
        raise PermissionDeniedError("This user is disabled.")
    return row


def _find_by_address(connection: Connection, subject: OpenIdSubject) -> UserRow | None:
    row = users.find_user(connection, subject.email) if subject.email else None
    if row is None:
        return None
    if not subject.email_verified:
        raise PermissionDeniedError(
            f"{subject.email} is a user here, and the provider has not verified that it is yours."
        )
    if row.oidc_subject is not None:
        raise PermissionDeniedError(
            f"{subject.email} signs in as another person of the provider's."
        )
    return row


def _create_from_subject(
    connection: Connection, subject: OpenIdSubject, workspace_slug: str, role: Role
) -> UserRow:
    joined = find_workspace(connection, workspace_slug) if workspace_slug else None
    if joined is None or not subject.email_verified:
        raise PermissionDeniedError(
            f"{subject.email or 'This person'} is not a user here: "
            "request an invitation from an administrator."
        )
    new = NewUser(subject.email, subject.name, workspace_id=joined.id, role=role)
    return create(connection, SYSTEM, new)


def welcome_link(settings: Settings, token: str) -> str:
    """Return the URL at which a browser uses an invitation or the first user's token."""
    return f"{settings.public_url.rstrip('/')}/welcome?token={token}"


def get_user(connection: Connection, id_or_email: str) -> UserRow:
    """Return the user with this id or address. Raises NotFoundError."""
    row = users.find_user(connection, id_or_email)
    if row is None:
        raise NotFoundError(f"There is no user {id_or_email}.", param="id")
    return row


def _link_error() -> PermissionDeniedError:
    return PermissionDeniedError("This link was used or has expired: request another one.")
