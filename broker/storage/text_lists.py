"""Lists of texts as one parameter: `among(column, "ids")`."""

from typing import Any

import orjson
from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    Dialect,
    String,
    Text,
    TypeDecorator,
    bindparam,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class TextList(TypeDecorator[list[str]]):
    """A list of texts as one parameter: an array for PostgreSQL, JSON for SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        kind = ARRAY(String) if dialect.name == "postgresql" else Text()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return list(value) if dialect.name == "postgresql" else orjson.dumps(list(value)).decode()


class _Among(FunctionElement[bool]):
    type = Boolean()
    inherit_cache = True


@compiles(_Among, "sqlite")
def _compile_for_sqlite(element: _Among, compiler: Any, **options: Any) -> str:
    of, values = (compiler.process(each, **options) for each in element.clauses)
    return f"{of} IN (SELECT value FROM json_each({values}))"  # noqa: S608  # of columns and parameters


@compiles(_Among, "postgresql")
def _compile_for_postgresql(element: _Among, compiler: Any, **options: Any) -> str:
    of, values = (compiler.process(each, **options) for each in element.clauses)
    return f"{of} = ANY ({values})"


def among(of: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Return the condition that `of` is one of the texts in the list parameter `name`.

    The statement is the same for any number of values, unlike that of `in_`, so it is compiled by
    SQLAlchemy and prepared by the database once.
    """
    return _Among(of, bindparam(name, type_=TextList(), required=True))
