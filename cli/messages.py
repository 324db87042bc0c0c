"""Messages for people on stderr, and sentences for errors that a user can correct.

Every command loads this module, so it imports nothing before there is a message.
"""

import sys
from collections.abc import Collection, Iterable

from broker.security.redaction import redact

OWN_PACKAGES = ("api", "broker", "cli", "workers")
COMMAND_VARIABLES = ("url", "api_key", "model", "config", "env_file", "simulator_port")
"""WAYBILL_* variables that commands read beside the settings."""


def describe_error(error: Exception) -> str | None:
    """Return the problem and the remedy, or None for a bug, whose traceback is needed."""
    if isinstance(error, ModuleNotFoundError):
        return describe_missing_package(error)
    from redis.exceptions import RedisError
    from sqlalchemy.exc import ArgumentError, DBAPIError

    from broker.errors import WaybillError
    from broker.security.secret_values import InvalidSecretError

    match error:
        case WaybillError():
            return error.message
        case InvalidSecretError():
            return str(error)
        case ArgumentError():
            return f"WAYBILL_DATABASE_URL is not a database URL: {first_line(error)}"
        case DBAPIError():
            return _describe_database_error(error)
        case RedisError():
            return f"Redis does not answer ({error}): check WAYBILL_REDIS_URL"
        case _:
            return None


def describe_missing_package(error: ModuleNotFoundError) -> str | None:
    """Return a sentence about the package that is missing, or None for one of Waybill's own."""
    package = (error.name or "").partition(".")[0]
    if package in ("", *OWN_PACKAGES):
        return None
    return (
        f"the Python package {package!r} is not installed in {sys.prefix}: "
        "install Waybill again with `pip install waybill-broker`"
    )


def first_line(error: Exception) -> str:
    """Return the first line of a database error, without the links that follow it."""
    return str(getattr(error, "orig", None) or error).partition("\n")[0]


def find_unknown_variables(names: Iterable[str]) -> list[str]:
    """Return a warning for each unknown WAYBILL_* variable, with the name of a similar one."""
    known: Collection[str] = [f"WAYBILL_{name.upper()}" for name in COMMAND_VARIABLES]
    unknown = [
        name for name in names if name.startswith("WAYBILL_") and name not in known
        and not name.startswith("WAYBILL_TEST_")
    ]  # fmt: skip
    if not unknown:  # loading all settings takes a while
        return []
    from broker.settings import unknown_variables

    return unknown_variables(unknown, COMMAND_VARIABLES)


def _describe_database_error(error: Exception) -> str | None:
    from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError

    text = first_line(error)
    if "no such table" in text or ("relation" in text and "does not exist" in text):
        return f"the database has no tables yet, or old ones ({text}): run `waybill migrate`"
    if isinstance(error, OperationalError | InterfaceError):
        return f"the database cannot be used ({text}): check WAYBILL_DATABASE_URL"
    return text if isinstance(error, ProgrammingError) and "permission denied" in text else None


def print_error(message: str) -> None:
    """Print a message on stderr, without secrets."""
    print(f"waybill: {redact(message)}", file=sys.stderr, flush=True)


def print_message(message: str) -> None:
    """Print a message on stderr."""
    print(f"waybill: {message}", file=sys.stderr, flush=True)
