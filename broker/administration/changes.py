"""How an administrative change is written: whole, with its audit entry, or not at all."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from broker.database import Database
from broker.errors import ConflictError, WaybillError

Result = TypeVar("Result")
Change = Callable[[Connection], Result]


async def carry_out(database: Database, change: Change[Result]) -> Result:
    """Run `change(connection)` in a transaction; what it refuses leaves nothing behind."""
    result: Result = await database.write(_carry_out_many, change)
    return result


def _carry_out_many(
    connection: Connection, changes: Sequence[Change[Any]]
) -> Sequence[Any | Exception]:
    results: list[Any | Exception] = []
    for change in changes:
        try:
            with connection.begin_nested():
                results.append(change(connection))
        except WaybillError as error:
            results.append(error)
        except IntegrityError as error:
            results.append(_taken(error))
    return results


def only(results: Sequence[Any]) -> Any:
    """Return what came of a grouped write of one item. Raises what it refused the item with."""
    [result] = results
    if isinstance(result, Exception):
        raise result
    return result


def _taken(error: IntegrityError) -> Exception:
    text = str(error.orig)
    for field in ("slug", "email"):
        if field in text:
            return ConflictError(f"This {field} is taken: choose another.", param=field)
    return error
