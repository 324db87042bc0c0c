"""Secrets that work once: invitations, the first user's link, apps' sign-in codes."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import Connection, delete, insert, select, update

from broker.accounts.keys import hash_key, new_token
from broker.clock import now_ms
from broker.completion import Json
from broker.storage.tables import OneTimeToken, table

KEPT_MS = 30 * 86_400_000  # what has ended is remembered this long

_tokens = table(OneTimeToken)


class Purpose(StrEnum):
    FIRST_USER = "first_user"  # make the first user
    PASSWORD = "password"  # noqa: S105  # choose a password: an invitation, or a password reset
    APP = "app"  # an app's code, to be exchanged for a key (PKCE, RFC 7636)


@dataclass(frozen=True, slots=True)
class Token:
    """The meaning of a token."""

    purpose: Purpose
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
            purpose=token.purpose.value,
            user_id=token.user_id,
            workspace_id=token.workspace_id,
            details=orjson.dumps(token.details).decode(),
            created_at=now,
            expires_at=now + seconds * 1000,
        )
    )
    return text


def find(connection: Connection, text: str, purpose: Purpose) -> Token | None:
    """Return a valid token without using it up, or None."""
    row = connection.execute(select(_tokens).where(*_works(text, purpose))).first()
    if row is None:
        return None
    details = orjson.loads(row.details) if row.details else {}
    return Token(purpose, row.user_id, row.workspace_id, details)


def use(connection: Connection, text: str, purpose: Purpose) -> Token | None:
    """Use a token up and return it; None if it is not valid any more."""
    token = find(connection, text, purpose)
    used = update(_tokens).where(*_works(text, purpose)).values(used_at=now_ms())
    return token if connection.execute(used).rowcount else None


def _works(text: str, purpose: Purpose) -> tuple[Any, ...]:
    return (
        _tokens.c.hash == hash_key(text),
        _tokens.c.purpose == purpose.value,
        _tokens.c.used_at.is_(None),
        _tokens.c.expires_at > now_ms(),
    )
