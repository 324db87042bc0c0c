"""People who sign in. Passwords are kept as argon2id hashes (RFC 9106)."""

from collections.abc import Mapping, Sequence
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, func, insert, or_, select, update

from broker.clock import now_ms
from broker.errors import InvalidRequestError
from broker.ids import new_id
from broker.storage.tables import User, table

MIN_PASSWORD_LENGTH = 10
MAX_PASSWORD_LENGTH = 1_000

_users = table(User)
_hasher = PasswordHasher()
_NOBODYS_HASH = (  # of no password: as slow to check as any other
    f"$argon2id$v=19$m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    f"${'A' * 22}${'A' * 43}"
)


def create_user(
    connection: Connection, email: str, name: str, *, is_operator: bool = False, **columns: Any
) -> str:
    """Insert a user and return the id. Raises IntegrityError where the address is known."""
    user_id = new_id("usr_")
    connection.execute(
        insert(_users).values(
            {
                "id": user_id,
                "email": checked_email(email),
                "name": name.strip() or email,
                "is_operator": is_operator,
                "disabled": False,
                "created_at": now_ms(),
                **columns,
            }
        )
    )
    return user_id


def user(connection: Connection, id_or_email: str) -> Any | None:
    """Return the row of the user with this id or e-mail address."""
    named = or_(_users.c.id == id_or_email, _users.c.email == id_or_email.strip().lower())
    return connection.execute(select(_users).where(named)).first()


def user_of_subject(connection: Connection, issuer: str, subject: str) -> Any | None:
    """Return the row of the user whom an OpenID provider knows by this subject."""
    return connection.execute(
        select(_users).where(_users.c.oidc_issuer == issuer, _users.c.oidc_subject == subject)
    ).first()


def list_users(
    connection: Connection, *, offset: int = 0, limit: int = 100
) -> tuple[Sequence[Any], int]:
    """Return a page of users, oldest first, and how many there are."""
    query = select(_users).order_by(_users.c.created_at, _users.c.id).offset(offset).limit(limit)
    total = connection.execute(select(func.count()).select_from(_users)).scalar_one()
    return connection.execute(query).all(), int(total)


def has_users(connection: Connection) -> bool:
    return connection.execute(select(_users.c.id).limit(1)).first() is not None


def change_user(connection: Connection, user_id: str, changes: Mapping[str, Any]) -> None:
    """Set columns of a user."""
    connection.execute(update(_users).where(_users.c.id == user_id).values(**changes))


def hash_password(password: str) -> str:
    """Return what is stored of a password. Takes tens of milliseconds: not for an event loop."""
    return _hasher.hash(password)


def password_fits(stored: str | None, password: str) -> bool:
    """Whether it is the password; as slow where there is none, so that nobody can tell."""
    try:
        return _hasher.verify(stored or _NOBODYS_HASH, password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


def check_password(password: str) -> None:
    """Raise InvalidRequestError for a password that is too short or too long."""
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        raise InvalidRequestError(
            f"A password has {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters.",
            param="password",
        )


def checked_email(email: str) -> str:
    """Return the address as it is kept. Raises InvalidRequestError for what is none."""
    address = email.strip().lower()
    before, _, domain = address.rpartition("@")
    is_host = "." in domain.strip(".") or domain == "localhost"
    is_clean = all(letter.isprintable() and not letter.isspace() for letter in address)
    if not (before and is_host and is_clean):
        raise InvalidRequestError(f"{email!r} is not an e-mail address.", param="email")
    return address
