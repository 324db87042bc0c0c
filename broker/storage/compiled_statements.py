"""Statements of SQLAlchemy Core as the SQL of a driver, with parameters by position."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

from sqlalchemy import Dialect

Values: TypeAlias = Mapping[str, Any]
"""Parameters by name."""

Processors: TypeAlias = Sequence[tuple[int, Callable[[Any], Any]]]
"""Conversions of values, each with the position of its value."""


class CompiledStatement:
    """A statement in the SQL of one dialect, with the conversion of its parameters."""

    def __init__(self, statement: Any, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=_positional(dialect))
        names: list[str] = compiled.positiontup
        binds = [compiled.binds[name] for name in names]
        if any(bind.expanding for bind in binds):
            raise ValueError("A frequent statement takes lists by `among`, not by `in_`.")
        self.sql: str = compiled.string
        self.names = frozenset(bind.key for bind in binds if bind.required)
        self._constants = {bind.key: bind.value for bind in binds if not bind.required}
        self._pick = _build_picker([bind.key for bind in binds])
        self._processors = list_processors(
            bind.type.dialect_impl(dialect).bind_processor(dialect) for bind in binds
        )

    def bind(self, values: Values) -> Sequence[Any]:
        """Return the parameters in the statement's order. Raises KeyError for a missing one."""
        known = {**self._constants, **values} if self._constants else values
        return convert(self._pick(known), self._processors)


class StatementByDialect:
    """A statement that is compiled at its first use in a dialect."""

    def __init__(self, statement: Any) -> None:
        self.statement = statement
        self._compiled: dict[str, CompiledStatement] = {}

    def compiled(self, dialect: Dialect) -> CompiledStatement:
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = CompiledStatement(self.statement, dialect)
        return found


def list_processors(found: Iterable[Any]) -> Processors:
    return [(index, each) for index, each in enumerate(found) if each is not None]


def convert(values: Sequence[Any], processors: Processors) -> Sequence[Any]:
    if not processors:
        return values
    converted = list(values)
    for index, process in processors:
        converted[index] = process(converted[index])
    return converted


def _build_picker(names: Sequence[str]) -> Callable[[Values], Sequence[Any]]:
    """Return a function that takes the values of these names out of a mapping."""
    if len(names) == 1:
        return lambda values: (values[names[0]],)
    return itemgetter(*names) if names else lambda _values: ()


def _positional(dialect: Dialect) -> Dialect:
    """Return a dialect whose statements take their parameters by position."""
    if dialect.name == "sqlite":
        return dialect
    return type(dialect)(paramstyle="format", dbapi=dialect.loaded_dbapi)  # type: ignore[call-arg]
