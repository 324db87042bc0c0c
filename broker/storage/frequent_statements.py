"""Run the statements of every job on the database's driver, compiled once by SQLAlchemy.

SQLAlchemy takes several times as long to execute a small statement as the driver does. A statement
that runs for each job is therefore written in SQLAlchemy Core as all others are, but compiled at
its first use, bound by position, and run by the driver in the connection's own transaction:

    _BODIES = FrequentQuery[Body](select(…).where(among(_payloads.c.job_id, "ids")))
    bodies = _BODIES.all(connection, {"ids": ids})

`FrequentInsert` and `FrequentUpdate` take many rows. SQLite runs its statement for each of them.
PostgreSQL gets all of them as one JSON document (`json_to_recordset`), so a group costs one
statement and one round trip. In a `pipeline`, it is not even waited for.

Values are converted as SQLAlchemy converts them, by the types of their columns. Errors of the
driver are raised as SQLAlchemy's (`sqlalchemy.exc.DBAPIError`).
"""

import contextlib
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar
from typing import cast as cast_type

import orjson
from sqlalchemy import (
    JSON,
    BindParameter,
    Connection,
    Dialect,
    Insert,
    Text,
    Update,
    bindparam,
    cast,
    column,
    func,
    literal,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.visitors import replacement_traverse

from broker.storage.compiled_statements import (
    Processors,
    StatementByDialect,
    Values,
    convert,
    list_processors,
)

Row = TypeVar("Row")

DOCUMENT_BYTES = 64 * 1024 * 1024
"""The longest JSON document of rows; PostgreSQL's limit for a parameter is 1 GiB."""

_CHECKS = "frequent_statements.checks"  # of the pipeline, in `connection.info`
_ROWS = "rows"


class _Cursor(Protocol):
    rowcount: int

    def fetchall(self) -> list[Sequence[Any]]: ...


class _Driver(Protocol):
    """The methods of `sqlite3.Connection` and `psycopg.Connection` that are called here."""

    def execute(self, sql: str, parameters: Sequence[Any] = ...) -> _Cursor: ...
    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> _Cursor: ...  # SQLite's
    def pipeline(self) -> contextlib.AbstractContextManager[object]: ...  # PostgreSQL's


class FrequentQuery(Generic[Row]):
    """A statement that returns rows. `Row` is a type that has its columns as attributes."""

    def __init__(self, statement: Any) -> None:
        self._statement = StatementByDialect(statement)
        self._columns = list(statement.exported_columns)
        row: Any = namedtuple("FrequentRow", [each.key for each in self._columns])  # type: ignore[misc]  # noqa: PYI024
        self._make = cast_type("Callable[[Any], Row]", row._make)
        self._processors: dict[str, Processors] = {}

    def all(self, connection: Connection, values: Values) -> list[Row]:
        """Return the rows for these parameters."""
        return self.send(connection, values)()

    def send(self, connection: Connection, values: Values) -> Callable[[], list[Row]]:
        """Run it, and return a function that returns its rows.

        In a `pipeline`, only that function waits for the database. Call it in the same pipeline.
        """
        compiled = self._statement.compiled(connection.dialect)
        try:
            cursor = _driver(connection).execute(compiled.sql, compiled.bind(values))
        except Exception as error:
            raise _translate(connection, compiled.sql, error) from error

        def fetch() -> list[Row]:
            try:
                found = cursor.fetchall()
            except Exception as error:
                raise _translate(connection, compiled.sql, error) from error
            processors = self._find_processors(connection.dialect)
            rows = [convert(row, processors) for row in found] if processors else found
            return list(map(self._make, rows))

        return fetch

    def _find_processors(self, dialect: Dialect) -> Processors:
        found = self._processors.get(dialect.name)
        if found is None:
            found = self._processors[dialect.name] = list_processors(
                each.type.dialect_impl(dialect).result_processor(dialect, None)
                for each in self._columns
            )
        return found


class FrequentWrite:
    """A statement that is run for each of many rows, which have the same columns."""

    def __init__(self, each: Insert | Update, together: Insert | Update) -> None:
        self._each = StatementByDialect(each)
        self._together = StatementByDialect(together)

    def run(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Run it for these rows."""
        if rows:
            self._send(connection, rows)

    def check(
        self, connection: Connection, rows: Sequence[Values], fail: Callable[[int], Exception]
    ) -> None:
        """Run it for these rows; each must change one row of the table.

        Raises what `fail` returns for another number of changed rows; in a `pipeline` at its end.
        """
        if not rows:
            return
        cursors = self._send(connection, rows)

        def compare() -> None:
            changed = sum(cursor.rowcount for cursor in cursors)
            if changed != len(rows):
                raise fail(changed)

        checks = connection.info.get(_CHECKS)
        if checks is None:
            compare()
        else:
            checks.append(compare)

    def _send(self, connection: Connection, rows: Sequence[Values]) -> Sequence[_Cursor]:
        """Run it, and return the driver's cursors."""
        each, driver = self._each.compiled(connection.dialect), _driver(connection)
        if any(row.keys() != each.names for row in rows):
            raise KeyError(f"Each row must have exactly the values {sorted(each.names)}.")
        try:
            if len(rows) == 1:
                return [driver.execute(each.sql, each.bind(rows[0]))]
            if connection.dialect.name == "sqlite":
                return [driver.executemany(each.sql, map(each.bind, rows))]
            together = self._together.compiled(connection.dialect)
            return [
                driver.execute(together.sql, together.bind({_ROWS: document}))
                for document in _encode(rows)
            ]
        except Exception as error:
            raise _translate(connection, each.sql, error) from error


class FrequentInsert(FrequentWrite):
    """An insert of rows with the columns `names`; other columns have their defaults."""

    def __init__(self, statement: Insert, names: Iterable[str]) -> None:
        table: Any = statement.table
        values: dict[str, Any] = {name: bindparam(name) for name in names}
        defaults = {
            each.key: literal(each.default.arg, each.type)
            for each in table.c
            if each.key not in values and each.default is not None
        }
        rows = _build_rows({name: table.c[name].type for name in values})
        together = select(*(rows.c[name] for name in values), *defaults.values())
        super().__init__(
            statement.values(values | defaults),
            statement.from_select([*values, *defaults], together, include_defaults=False),
        )


class FrequentUpdate(FrequentWrite):
    """An update for rows with the parameters of the statement."""

    def __init__(self, statement: Update) -> None:
        binds = statement.compile().binds.values()
        rows = _build_rows({bind.key: bind.type for bind in binds if bind.required})

        def find_column(element: Any, **_options: Any) -> Any:
            is_given = isinstance(element, BindParameter) and element.required
            return rows.c[element.key] if is_given else None

        together: Any = replacement_traverse(statement, {}, find_column)
        super().__init__(statement, together)


@contextlib.contextmanager
def pipeline(connection: Connection) -> Iterator[None]:
    """Send the statements of this block to PostgreSQL without waiting for each of them.

    Only statements of this module may run in it. Reading the rows of a query waits for all that
    was sent before. The error of a statement may be raised by a later one, or at the end of the
    block. SQLite has no round trips to save.
    """
    if connection.dialect.name == "sqlite":
        yield
        return
    checks: list[Callable[[], None]] = []
    connection.info[_CHECKS] = checks
    try:
        with _driver(connection).pipeline():
            yield
    except Exception as error:
        raise _translate(connection, None, error) from error
    finally:
        del connection.info[_CHECKS]
    for check in checks:
        check()


def execute(connection: Connection, sql: str) -> None:
    """Run a statement without parameters or rows, such as BEGIN IMMEDIATE."""
    try:
        _driver(connection).execute(sql)
    except Exception as error:
        raise _translate(connection, sql, error) from error


def _driver(connection: Connection) -> _Driver:
    driver: Any = connection.connection.driver_connection
    return cast_type("_Driver", driver)


def _translate(connection: Connection, sql: str | None, error: Exception) -> Exception:
    """Return SQLAlchemy's error for one of the driver, and give up a connection that is lost."""
    dialect, driver_error = connection.dialect, connection.dialect.loaded_dbapi.Error
    if not isinstance(error, driver_error):
        return error
    is_lost = dialect.is_disconnect(error, connection.connection, None)
    if is_lost:
        connection.invalidate(error)
    return DBAPIError.instance(  # parameters are left out: they have what callers wrote
        *(sql, None, error, driver_error),
        hide_parameters=True,
        connection_invalidated=is_lost,
        dialect=dialect,
    )


def _build_rows(types: Mapping[str, Any]) -> Any:
    """Return PostgreSQL's table of the rows in the JSON document that is the parameter `_ROWS`."""
    document = cast(bindparam(_ROWS, type_=Text, required=True), JSON)
    columns = [column(name, type_) for name, type_ in types.items()]
    rows = func.json_to_recordset(document).table_valued(*columns)
    return rows.render_derived(name="given", with_types=True)


def _encode(rows: Sequence[Values]) -> Iterator[str]:
    """Yield JSON documents of all rows in their order; only one row may exceed DOCUMENT_BYTES."""
    document = orjson.dumps([*rows], default=_encode_bytes)
    if len(document) <= DOCUMENT_BYTES or len(rows) == 1:
        yield document.decode()
        return
    middle = len(rows) // 2
    yield from _encode(rows[:middle])
    yield from _encode(rows[middle:])


def _encode_bytes(value: Any) -> str:
    """Return the text that PostgreSQL reads as these bytes.

    Source: https://www.postgresql.org/docs/current/datatype-binary.html
    """
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    raise TypeError(f"{type(value).__name__} is no value of a column.")
