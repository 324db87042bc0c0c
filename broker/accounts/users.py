"""People who sign in, and their roles in workspaces. Passwords are argon2id hashes (RFC 9106)."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, delete, func, insert, or_, select, update

from broker.clock import now_ms
from broker.enums import Role
from broker.errors import InvalidRequestError
from broker.ids import new_id
from broker.storage.tables import Member, User, Workspace, columns, table


class Scope(StrEnum):
    """Rights that an inference key may have besides submitting jobs and reading its own."""

    JOBS = "jobs"  # read, cancel and delete jobs, batches and comparisons of other keys
    FILES = "files"  # read, use and delete files of other keys
    WEBHOOKS = "webhooks"  # webhook endpoints, their secrets, deliveries
    PRESETS = "presets"  # read and change presets; calls may use one without it


ALL_SCOPES = frozenset(Scope)


MIN_PASSWORD_LENGTH = 10
MAX_PASSWORD_LENGTH = 1_000

_users = table(User)
_hasher = PasswordHasher()
_UNMATCHED_HASH = (  # the hash of no password; it is as slow to check as any other
    f"$argon2id$v=19$m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    f"${'A' * 22}${'A' * 43}"
)


class UserRow(NamedTuple):
    """A row of `users`. Times are Unix milliseconds."""

    id: str
    email: str  # lower case
    name: str
    password_hash: str | None  # argon2id
    oidc_issuer: str | None
    oidc_subject: str | None
    is_operator: bool  # of the whole installation
    disabled: bool
    created_at: int
    last_seen_at: int | None


USER_COLUMNS = columns(UserRow, _users)
_SELECT = select(*USER_COLUMNS)


def create_user(
    connection: Connection, email: str, name: str, *, is_operator: bool = False, **columns: Any
) -> str:
    """Insert a user and return the id. Raises IntegrityError if the address is taken."""
    user_id = new_id("usr_")
    connection.execute(
        insert(_users).values(
            {
                "id": user_id,
                "email": normalize_email(email),
                "name": name.strip() or email,
                "is_operator": is_operator,
                "disabled": False,
                "created_at": now_ms(),
                **columns,
            }
        )
    )
    return user_id


def find_user(connection: Connection, id_or_email: str) -> UserRow | None:
    """Return the user with this id or e-mail address, or None if there is none."""
    wanted = or_(_users.c.id == id_or_email, _users.c.email == id_or_email.strip().lower())
    row = connection.execute(_SELECT.where(wanted)).first()
    return None if row is None else UserRow(*row)


def find_user_of_subject(connection: Connection, issuer: str, subject: str) -> UserRow | None:
    """Return the user with this subject at an OpenID provider, or None if there is none."""
    row = connection.execute(
        _SELECT.where(_users.c.oidc_issuer == issuer, _users.c.oidc_subject == subject)
    ).first()
    return None if row is None else UserRow(*row)


def list_users(
    connection: Connection, *, offset: int = 0, limit: int = 100
) -> tuple[Sequence[UserRow], int]:
    """Return a page of users, oldest first, and the number of all users."""
    query = _SELECT.order_by(_users.c.created_at, _users.c.id).offset(offset).limit(limit)
    total = connection.execute(select(func.count()).select_from(_users)).scalar_one()
    return [UserRow(*row) for row in connection.execute(query)], int(total)


def has_users(connection: Connection) -> bool:
    return connection.execute(select(_users.c.id).limit(1)).first() is not None


def change_user(connection: Connection, user_id: str, changes: Mapping[str, Any]) -> None:
    """Set columns of a user."""
    connection.execute(update(_users).where(_users.c.id == user_id).values(**changes))


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password. Takes tens of milliseconds: not for an event loop."""
    return _hasher.hash(password)


def verify_password(stored: str | None, password: str) -> bool:
    """Return whether the password has this hash. A missing hash takes as long to check."""
    try:
        return _hasher.verify(stored or _UNMATCHED_HASH, password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


def check_password(password: str) -> None:
    """Raise InvalidRequestError for a password that is too short or too long."""
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        raise InvalidRequestError(
            f"A password has {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters.",
            param="password",
        )


def normalize_email(email: str) -> str:
    """Return the address as it is stored. Raises InvalidRequestError for an invalid one."""
    address = email.strip().lower()
    before, _, domain = address.rpartition("@")
    is_host = "." in domain.strip(".") or domain == "localhost"
    is_clean = all(letter.isprintable() and not letter.isspace() for letter in address)
    if not (before and is_host and is_clean):
        raise InvalidRequestError(f"{email!r} is not an e-mail address.", param="email")
    return address


_members = table(Member)
_workspaces = table(Workspace)


class MemberRow(NamedTuple):
    """A row of `members`, with the user's e-mail address and name."""

    workspace_id: str
    user_id: str
    role: Role
    created_at: int  # Unix milliseconds
    email: str
    name: str


class Membership(NamedTuple):
    """A workspace of a user, with the user's role in it."""

    id: str  # of the workspace
    name: str
    slug: str | None
    unlimited: bool
    role: Role


_SELECT_MEMBERS = select(*columns(MemberRow, _members, _users)).join(
    _users, _users.c.id == _members.c.user_id
)
_SELECT_MEMBERSHIPS = select(*columns(Membership, _workspaces, _members)).join(
    _members, _members.c.workspace_id == _workspaces.c.id
)


def add_member(connection: Connection, workspace_id: str, user_id: str, role: Role) -> None:
    """Make a user a member, or give a member another role."""
    where = (_members.c.workspace_id == workspace_id, _members.c.user_id == user_id)
    if connection.execute(update(_members).where(*where).values(role=role)).rowcount:
        return
    connection.execute(
        insert(_members).values(
            workspace_id=workspace_id, user_id=user_id, role=role, created_at=now_ms()
        )
    )


def remove_member(connection: Connection, workspace_id: str, user_id: str) -> None:
    connection.execute(
        delete(_members).where(
            _members.c.workspace_id == workspace_id, _members.c.user_id == user_id
        )
    )


def find_role(connection: Connection, workspace_id: str, user_id: str) -> Role | None:
    """Return a user's role in a workspace, or None if the user is not a member."""
    role: Role | None = connection.execute(
        select(_members.c.role).where(
            _members.c.workspace_id == workspace_id, _members.c.user_id == user_id
        )
    ).scalar_one_or_none()
    return role


def list_members(
    connection: Connection, workspace_id: str, *, offset: int = 0, limit: int = 100
) -> tuple[Sequence[MemberRow], int]:
    """Return a page of a workspace's members, oldest first, and the number of all of them."""
    is_member = _members.c.workspace_id == workspace_id
    rows = connection.execute(
        _SELECT_MEMBERS.where(is_member)
        .order_by(_members.c.created_at, _members.c.user_id)
        .offset(offset)
        .limit(limit)
    )
    total = connection.execute(select(func.count()).select_from(_members).where(is_member))
    return [MemberRow(*row) for row in rows], int(total.scalar_one())


def count_owners(connection: Connection, workspace_id: str) -> int:
    owners = select(func.count()).where(
        _members.c.workspace_id == workspace_id, _members.c.role == Role.OWNER
    )
    return int(connection.execute(owners).scalar_one())


def list_memberships(connection: Connection, user_id: str) -> Sequence[Membership]:
    """Return the workspaces of a user, the oldest membership first."""
    rows = connection.execute(
        _SELECT_MEMBERSHIPS.where(
            _members.c.user_id == user_id, _workspaces.c.deleted_at.is_(None)
        ).order_by(_members.c.created_at, _workspaces.c.id)
    )
    return [Membership(*row) for row in rows]
