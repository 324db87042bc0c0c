"""How an administrative change is written: whole, with its audit entry, or not at all."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from broker.errors import ConflictError
from broker.storage.database import Database

Result = TypeVar("Result")
Change = Callable[[Connection], Result]


async def carry_out(database: Database, change: Change[Result]) -> Result:
    """Run `change(connection)` in a transaction. Raises ConflictError for a name that is taken."""
    try:
        return await database.write(change)
    except IntegrityError as error:
        raise _conflict_of(error) from error


def only(results: Sequence[Any]) -> Any:
    """Return what came of a grouped write of one item. Raises what it refused the item with."""
    [result] = results
    if isinstance(result, Exception):
        raise result
    return result


def _conflict_of(error: IntegrityError) -> Exception:
    text = str(error.orig)
    for field in ("slug", "email"):
        if field in text:
            return ConflictError(f"This {field} is taken: choose another.", param=field)
    return error
