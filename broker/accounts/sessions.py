"""Browser sessions. The token in the cookie is random; only its SHA-256 is stored."""

from dataclasses import replace

from sqlalchemy import Connection, delete, insert, select

from broker.accounts.keys import create_key, hash_key, new_token
from broker.accounts.principal import Principal, find_session_key
from broker.accounts.users import USER_COLUMNS, UserRow, change_user, list_memberships
from broker.accounts.workspaces import DEFAULT_WORKSPACE, find_workspace
from broker.clock import now_ms
from broker.enums import CallerKind, Role
from broker.storage.tables import User, UserSession, table

SESSION_SECONDS = 14 * 86_400

_sessions = table(UserSession)
_users = table(User)


def open_session(connection: Connection, user_id: str, seconds: int = SESSION_SECONDS) -> str:
    """Sign a user in; return the token for the cookie. Expired sessions are deleted."""
    token, now = new_token(), now_ms()
    connection.execute(delete(_sessions).where(_sessions.c.expires_at <= now))
    connection.execute(
        insert(_sessions).values(
            hash=hash_key(token), user_id=user_id, created_at=now, expires_at=now + seconds * 1000
        )
    )
    change_user(connection, user_id, {"last_seen_at": now})
    return token


def close_session(connection: Connection, token: str) -> None:
    """Sign out."""
    connection.execute(delete(_sessions).where(_sessions.c.hash == hash_key(token)))


def close_sessions(connection: Connection, user_id: str) -> None:
    """Sign a user out everywhere: the password changed, or the user was disabled."""
    connection.execute(delete(_sessions).where(_sessions.c.user_id == user_id))


def find_user_by_token(connection: Connection, token: str) -> UserRow | None:
    """Return the user who is signed in with this token, or None."""
    row = connection.execute(
        select(*USER_COLUMNS)
        .join(_sessions, _sessions.c.user_id == _users.c.id)
        .where(
            _sessions.c.hash == hash_key(token),
            _sessions.c.expires_at > now_ms(),
            _users.c.disabled.is_(False),
        )
    ).first()
    return None if row is None else UserRow(*row)


def find_session_principal(
    connection: Connection, token: str, wanted: str | None = None
) -> Principal | None:
    """Return the signed-in user as a caller in the `wanted` workspace (id or slug), or the first.

    Return None if nobody is signed in, or if the user is not a member of that workspace.
    """
    user = find_user_by_token(connection, token)
    if user is None:
        return None
    for membership in list_memberships(connection, user.id):
        if wanted in (None, membership.id, membership.slug):
            found = _principal(user, membership.id, membership.unlimited, membership.role)
            return _with_key(connection, found)
    if not user.is_operator:
        return None
    row = find_workspace(connection, wanted or DEFAULT_WORKSPACE)
    if row is None:
        return None
    return _with_key(connection, _principal(user, row.id, row.unlimited, Role.OWNER))


def create_session_key(connection: Connection, principal: Principal) -> Principal:
    """Give a signed-in user the key that their jobs count for; return the user with it.

    It is a row like other keys, so that limits, budgets and usage apply to it. Its secret is not
    kept: only the session uses it.
    """
    found = _with_key(connection, principal)
    if found.has_key:
        return found
    create_key(
        connection, principal.workspace_id, f"Dashboard of {principal.label}",
        kind=CallerKind.SESSION, created_by=principal.user_id,
    )  # fmt: skip
    return _with_key(connection, principal)


def _principal(user: UserRow, workspace_id: str, unlimited: bool, role: Role) -> Principal:
    return Principal(
        workspace_id=workspace_id,
        api_key_id=user.id,
        unlimited=unlimited,
        kind=CallerKind.SESSION,
        role=Role.OWNER if user.is_operator else role,
        everywhere=user.is_operator,
        user_id=user.id,
        label=user.email,
    )


def _with_key(connection: Connection, principal: Principal) -> Principal:
    """Return a signed-in user with the limits of their own key, if there is one."""
    key = find_session_key(connection, principal.workspace_id, principal.user_id or "")
    if key is None:
        return principal
    return replace(
        key.principal, role=principal.role, everywhere=principal.everywhere,
        user_id=principal.user_id, label=principal.label, is_disabled=key.disabled,
    )  # fmt: skip
