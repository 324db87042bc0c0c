"""Messages for people on stderr, and sentences for errors that a person can repair.

Every command loads this module, so it loads nothing before there is something to say.
"""

import sys
from collections.abc import Collection, Iterable

from broker.security.redaction import redact

OURS = ("api", "broker", "cli", "workers")
COMMAND_VARIABLES = ("url", "api_key", "model", "config", "env_file", "simulator_port")
"""WAYBILL_* variables that commands read beside the settings."""


def sentence(error: Exception) -> str | None:
    """Say what is wrong and what to do; None where it is our mistake, whose traceback is needed."""
    if isinstance(error, ModuleNotFoundError):
        return missing_package(error)
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
            return f"WAYBILL_DATABASE_URL is no address of a database: {first_line(error)}"
        case DBAPIError():
            return _about_the_database(error)
        case RedisError():
            return f"Redis does not answer ({error}): check WAYBILL_REDIS_URL"
        case _:
            return None


def missing_package(error: ModuleNotFoundError) -> str | None:
    """Say which package is not installed; None where a module of Waybill's own is missing."""
    package = (error.name or "").partition(".")[0]
    if package in ("", *OURS):
        return None
    return (
        f"the Python package {package!r} is not installed in {sys.prefix}: "
        "install Waybill again with `pip install waybill-broker`"
    )


def first_line(error: Exception) -> str:
    """Return what an error of a database says, without where to read more about it."""
    return str(getattr(error, "orig", None) or error).partition("\n")[0]


def find_unknown_variables(names: Iterable[str]) -> list[str]:
    """Say of each WAYBILL_* variable that nothing reads which one may have been meant."""
    known: Collection[str] = [f"WAYBILL_{name.upper()}" for name in COMMAND_VARIABLES]
    doubtful = [
        name for name in names if name.startswith("WAYBILL_") and name not in known
        and not name.startswith("WAYBILL_TEST_")
    ]  # fmt: skip
    if not doubtful:  # loading all settings takes a while
        return []
    from broker.settings import unknown_variables

    return unknown_variables(doubtful, COMMAND_VARIABLES)


def _about_the_database(error: Exception) -> str | None:
    from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError

    told = first_line(error)
    if "no such table" in told or ("relation" in told and "does not exist" in told):
        return f"the database has no tables yet, or old ones ({told}): run `waybill migrate`"
    if isinstance(error, OperationalError | InterfaceError):
        return f"the database cannot be used ({told}): check WAYBILL_DATABASE_URL"
    return told if isinstance(error, ProgrammingError) and "permission denied" in told else None


def complain(message: str) -> None:
    """Tell a person what is wrong, on stderr."""
    print(f"waybill: {redact(message)}", file=sys.stderr, flush=True)


def say(message: str) -> None:
    print(f"waybill: {message}", file=sys.stderr, flush=True)
