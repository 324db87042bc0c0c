"""Columns and indexes as tables share them, and the columns that a query reads."""

from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

from sqlalchemy import BigInteger, Column, Enum, Index, text
from sqlmodel import AutoString, SQLModel
from sqlmodel._compat import SQLModelConfig


class TableModel(SQLModel):
    """Base of all tables. Pydantic builds no validators for them: no model is ever loaded."""

    model_config = SQLModelConfig(defer_build=True)


def big(*, nullable: bool = False, default: int | None = None, key: bool = False) -> Any:
    """Declare a 64-bit integer: Unix milliseconds or nano-dollars."""
    server_default = None if default is None else str(default)
    return Column(BigInteger, nullable=nullable, server_default=server_default, primary_key=key)


def enumeration(
    kind: type[StrEnum], *, nullable: bool = False, default: StrEnum | None = None
) -> Any:
    """Declare a column of text whose values are those of an enumeration.

    Rows have its members. Reading a stored text that is none of its values raises LookupError.
    """
    values = Enum(kind, values_callable=_texts, native_enum=False, length=None)
    server_default = None if default is None else default.value
    return Column(values, nullable=nullable, default=default, server_default=server_default)


def _texts(kind: type[StrEnum]) -> list[str]:
    return [member.value for member in kind]


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """Declare an index over the rows that meet a condition, on either database."""
    met = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=met, postgresql_where=met)


def table(model: type[SQLModel]) -> Any:
    """Return a model's table: queries are built of its columns, and no model is ever loaded."""
    return model.__table__  # type: ignore[attr-defined]


def columns(row: type, *tables: Any) -> list[Any]:
    """Return the columns that a type of row names, each of the first table that has it.

    Such a type is a protocol: queries return SQLAlchemy's own rows, which nothing converts, so mypy
    reports each use of a column that the query does not select. Raises TypeError where the declared
    type is not the column's type: then mypy would check the wrong type.
    """
    found = []
    for name, declared in get_type_hints(row).items():
        column = next(table.c[name] for table in tables if name in table.c)
        held = _python_type(column)
        if _value_type(declared) is not held:
            raise TypeError(
                f"{row.__qualname__}.{name} is declared as {declared}, and the column {column} "
                f"holds {held.__name__}"
            )
        found.append(column)
    return found


def _python_type(column: Any) -> type:
    """Return the Python type of a column's values; SQLModel's own type of text does not name it."""
    kind = column.type
    return kind.impl_instance.python_type if isinstance(kind, AutoString) else kind.python_type


def _value_type(declared: Any) -> Any:
    """Return a declared type without `None`: `int` of `int | None`."""
    members = [each for each in get_args(declared) if each is not NoneType]
    return members[0] if len(members) == 1 and isinstance(declared, UnionType) else declared
