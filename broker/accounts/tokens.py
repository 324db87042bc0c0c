"""Secrets that work once: invitations, the first user's link, apps' sign-in codes."""

from dataclasses import dataclass

import orjson
from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from broker.accounts.keys import hash_key, new_token
from broker.clock import now_ms
from broker.completion import Json
from broker.enums import TokenPurpose
from broker.storage.tables import OneTimeToken, table

KEPT_MS = 30 * 86_400_000  # for which expired tokens are kept

_tokens = table(OneTimeToken)


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its text: its purpose, for whom it was issued, and what it stands for."""

    purpose: TokenPurpose
    user_id: str | None
    workspace_id: str | None
    details: Json


def issue(connection: Connection, token: Token, seconds: int) -> str:
    """Store a token and return its text, which cannot be read again."""
    text, now = new_token(), now_ms()
    connection.execute(delete(_tokens).where(_tokens.c.expires_at < now - KEPT_MS))
    connection.execute(
        insert(_tokens).values(
            hash=hash_key(text),
            purpose=token.purpose,
            user_id=token.user_id,
            workspace_id=token.workspace_id,
            details=orjson.dumps(token.details).decode(),
            created_at=now,
            expires_at=now + seconds * 1000,
        )
    )
    return text


def find(connection: Connection, text: str, purpose: TokenPurpose) -> Token | None:
    """Return a valid token without using it, or None."""
    row = connection.execute(
        select(_tokens.c.user_id, _tokens.c.workspace_id, _tokens.c.details).where(
            *_is_valid(text, purpose)
        )
    ).first()
    if row is None:
        return None
    user_id, workspace_id, details = row
    return Token(purpose, user_id, workspace_id, orjson.loads(details) if details else {})


def use(connection: Connection, text: str, purpose: TokenPurpose) -> Token | None:
    """Mark a token as used and return it, or None if it is not valid."""
    token = find(connection, text, purpose)
    used = update(_tokens).where(*_is_valid(text, purpose)).values(used_at=now_ms())
    return token if connection.execute(used).rowcount else None


def _is_valid(text: str, purpose: TokenPurpose) -> tuple[ColumnElement[bool], ...]:
    return (
        _tokens.c.hash == hash_key(text),
        _tokens.c.purpose == purpose,
        _tokens.c.used_at.is_(None),
        _tokens.c.expires_at > now_ms(),
    )
