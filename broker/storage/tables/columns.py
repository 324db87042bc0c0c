"""Columns and indexes as tables share them, and the columns that a query reads."""

from typing import Any, get_type_hints

from sqlalchemy import BigInteger, Column, Index, text
from sqlmodel import SQLModel


def big(*, nullable: bool = False, default: int | None = None, key: bool = False) -> Any:
    """Declare a 64-bit integer: Unix milliseconds or nano-dollars."""
    server_default = None if default is None else str(default)
    return Column(BigInteger, nullable=nullable, server_default=server_default, primary_key=key)


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """Declare an index over the rows that meet a condition, on either database."""
    met = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=met, postgresql_where=met)


def table(model: type[SQLModel]) -> Any:
    """Return a model's table: queries are built of its columns, and no model is ever loaded."""
    return model.__table__  # type: ignore[attr-defined]


def columns(row: type, *tables: Any) -> list[Any]:
    """Return the columns that a type of row names, each of the first table that has it.

    Such a type is a protocol: what is read are SQLAlchemy's own rows, which nothing converts, and
    mypy sees who reads a column that was not asked for.
    """
    return [
        next(table.c[name] for table in tables if name in table.c) for name in get_type_hints(row)
    ]
