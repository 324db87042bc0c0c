"""Columns and indexes as tables share them."""

from typing import Any

from sqlalchemy import BigInteger, Column, Index, text


def big(*, nullable: bool = False, default: int | None = None, key: bool = False) -> Any:
    """A 64-bit integer: Unix milliseconds or nano-dollars."""
    server_default = None if default is None else str(default)
    return Column(BigInteger, nullable=nullable, server_default=server_default, primary_key=key)


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index over the rows that meet a condition, on either database."""
    met = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=met, postgresql_where=met)
