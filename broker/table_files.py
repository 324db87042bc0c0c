"""Tables of rows: CSV, TSV and Parquet, read and written a row at a time."""

import contextlib
import csv
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from broker.spreadsheets import cell, read_csv

Row = dict[str, Any]
TABLES = frozenset({".csv", ".tsv", ".parquet"})
PARQUET_ROWS = 1_000  # read or written at a time


class TableError(Exception):
    """A table that cannot be read or written; the text is the reason."""


def is_table(path: Path) -> bool:
    return path.suffix.lower() in TABLES


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a table. Raises TableError."""
    if path.suffix.lower() == ".parquet":
        return _parquet_rows(path)
    return _csv_rows(path)


def first_and_all(rows: Iterator[Row], path: Path) -> tuple[Row, Iterator[Row]]:
    """Return the first row, and all of them. Raises TableError for a table without any."""
    first = next(rows, None)
    if first is None:
        raise TableError(f"{path} has no rows")
    return first, chain([first], rows)


@contextlib.contextmanager
def writing_rows(path: Path, columns: Sequence[str]) -> Iterator[Callable[[Row], None]]:
    """Open a table for writing: give it rows that have these columns. Raises TableError."""
    opened = _parquet_writer if path.suffix.lower() == ".parquet" else _csv_writer
    with opened(path, columns) as write:
        yield write


def _csv_rows(path: Path) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from read_csv(file, _delimiter(path))
    except UnicodeDecodeError as error:
        raise TableError(f"{path} cannot be read: {error}") from None
    except ValueError as error:
        raise TableError(f"{path}: {error}") from None


@contextlib.contextmanager
def _csv_writer(path: Path, columns: Sequence[str]) -> Iterator[Callable[[Row], None]]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=_delimiter(path))
        writer.writerow([cell(column) for column in columns])
        yield lambda row: writer.writerow([cell(row.get(column)) for column in columns])


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _parquet() -> Any:
    try:
        import pyarrow as pa  # an optional extra
        import pyarrow.parquet
    except ImportError:
        raise TableError("Parquet needs pyarrow: pip install 'waybill-broker[parquet]'") from None
    return pa


def _parquet_rows(path: Path) -> Iterator[Row]:
    arrow = _parquet()
    try:
        with arrow.parquet.ParquetFile(path) as file:
            for group in file.iter_batches(batch_size=PARQUET_ROWS):
                yield from group.to_pylist()
    except arrow.ArrowException as error:
        raise TableError(f"{path} cannot be read: {error}") from None


@contextlib.contextmanager
def _parquet_writer(path: Path, columns: Sequence[str]) -> Iterator[Callable[[Row], None]]:
    arrow = _parquet()
    rows: list[Row] = []
    schema, writer = None, None

    def flush() -> None:
        nonlocal schema, writer
        if not rows:
            return
        table = arrow.Table.from_pylist(rows, schema=schema)
        if writer is None:
            schema = _without_nulls(arrow, table.select(list(columns)).schema)
            writer = arrow.parquet.ParquetWriter(path, schema)
        writer.write_table(arrow.Table.from_pylist(rows, schema=schema))
        rows.clear()

    def write(row: Row) -> None:
        rows.append({column: row.get(column) for column in columns})
        if len(rows) == PARQUET_ROWS:
            flush()

    yield write
    flush()
    if writer is not None:
        writer.close()


def _without_nulls(arrow: Any, schema: Any) -> Any:
    """Give columns without values the type of text."""
    return arrow.schema(
        [
            field.with_type(arrow.string()) if arrow.types.is_null(field.type) else field
            for field in schema
        ]
    )
