"""Write an administrative change together with its audit entry."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from broker.errors import ConflictError
from broker.storage.database import Database

Result = TypeVar("Result")
Change = Callable[[Connection], Result]


async def carry_out(database: Database, change: Change[Result]) -> Result:
    """Run `change(connection)` in a transaction. Raises ConflictError if a name is taken."""
    try:
        return await database.write(change)
    except IntegrityError as error:
        raise _conflict_of(error) from error


def _conflict_of(error: IntegrityError) -> Exception:
    text = str(error.orig)
    for field in ("slug", "email"):
        if field in text:
            return ConflictError(f"This {field} is taken: choose another.", param=field)
    return error
