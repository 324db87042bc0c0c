"""Apps that request a key from a user: issue a code, and exchange it for a key.

OpenRouter's flow (its docs, "OAuth PKCE"), by RFC 7636: the app that sends the code must also send
the verifier of its challenge.
"""

import base64
import hashlib
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy import Connection

from broker.accounts import CallerKind, NewKey, Role, audit, tokens, users
from broker.accounts.audit import Actor, AuditedChange
from broker.accounts.tokens import Token
from broker.administration import keys
from broker.administration.keys import KeyOptions
from broker.completion import Json
from broker.enums import TokenPurpose
from broker.errors import InvalidRequestError, PermissionDeniedError
from broker.security.signed_links import is_same

CODE_SECONDS = 600
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Grant:
    """A user's grant to an app: the workspace and the columns of the key that the app gets."""

    workspace_id: str
    user_id: str | None
    name: str
    columns: Json  # of `tables.ApiKey`
    challenge: str | None = None
    method: str = "S256"


def check_callback(url: str) -> str:
    """Return the host of a callback URL. Raises InvalidRequestError for an unsafe one.

    Plain http is allowed for programs on the user's own machine (RFC 8252, §7.3).
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)
    is_clean = "@" not in parts.netloc and not parts.fragment and url.isascii()
    if not (host and is_safe and is_clean and url.isprintable() and " " not in url):
        raise InvalidRequestError(
            "callback_url is an https address, or http on localhost, without user or fragment.",
            param="callback_url",
        )
    return host


def grant_code(connection: Connection, actor: Actor, grant: Grant) -> str:
    """Store a grant and return its code, which works once, for ten minutes."""
    details: Json = {
        "name": grant.name,
        "columns": grant.columns,
        "challenge": grant.challenge,
        "method": grant.method,
    }
    token = Token(TokenPurpose.APP, grant.user_id, grant.workspace_id, details)
    code = tokens.issue(connection, token, CODE_SECONDS)
    granted = {"app": grant.name, **grant.columns}
    change = AuditedChange("apps.allow", grant.name, grant.workspace_id, after=granted)
    audit.record(connection, actor, change)
    return code


def exchange(
    connection: Connection, address: str | None, code: str, verifier: str | None, method: str | None
) -> tuple[NewKey, str | None]:
    """Exchange a code for a key; return the key and its user. Raises PermissionDeniedError."""
    token = tokens.use(connection, code, TokenPurpose.APP)
    if token is None or token.workspace_id is None:
        raise PermissionDeniedError("This code is unknown, was used, or has expired.", param="code")
    _check_verifier(token.details, verifier, method)
    if token.user_id is not None:
        user = users.find_user(connection, token.user_id)
        role = users.find_role(connection, token.workspace_id, token.user_id)
        is_member = role is not None and role.reaches(Role.MEMBER)
        if user is None or user.disabled or not (user.is_operator or is_member):
            raise PermissionDeniedError(
                "The user who granted this code no longer has access.", param="code"
            )
    columns = {**token.details["columns"], "created_by": token.user_id}
    options = KeyOptions(token.workspace_id, token.details["name"], CallerKind.INFERENCE, columns)
    actor = Actor(token.user_id or "app", token.details["name"], address)
    return keys.create(connection, actor, options), token.user_id


def _check_verifier(details: Json, verifier: str | None, method: str | None) -> None:
    challenge = details["challenge"]
    if method is not None and challenge is not None and method != details["method"]:
        raise InvalidRequestError(
            f"This code was requested with {details['method']}.", param="code_challenge_method"
        )
    if challenge is not None and not is_same(
        challenge, challenge_of(verifier or "", details["method"])
    ):
        raise PermissionDeniedError("This is not the code's verifier.", param="code_verifier")


def challenge_of(verifier: str, method: str) -> str:
    """Return the challenge of a verifier (RFC 7636, §4.2)."""
    if method == "plain":
        return verifier
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
