"""All results of an evaluation as CSV or Parquet: one row for each cell. Blocking."""

import csv
import io
import itertools
from collections.abc import Iterator
from typing import IO, Any

import orjson

from broker.completion import Json
from broker.errors import InvalidRequestError
from broker.evaluations import reports
from broker.evaluations.rows import Plan
from broker.evaluations.view import render_results
from broker.spreadsheets import cell
from broker.storage.database import Database

_TEXT, _WHOLE, _NUMBER, _FLAG = "string", "int64", "float64", "bool"
_PLACE = {
    "prompt_number": _WHOLE,
    "prompt_id": _TEXT,
    "prompt": _TEXT,
    "expected": _TEXT,
    "metadata": _TEXT,
    "recorded_job_id": _TEXT,
    "column": _TEXT,
    "sample": _WHOLE,
    "status": _TEXT,
    "outcome": _TEXT,
}
_ANSWER = {
    "job_id": _TEXT,
    "answer": _TEXT,
    "provider": _TEXT,
    "cost": _NUMBER,
    "latency_ms": _WHOLE,
    "first_token_ms": _WHOLE,
    "prompt_tokens": _WHOLE,
    "completion_tokens": _WHOLE,
}
_GRADE = {"score": _NUMBER, "passed": _FLAG, "reason": _TEXT, "error": _TEXT}
_AS_JSON = ("expected", "metadata")
PARQUET_ROWS = 1_000  # of a row group


def list_columns(plan: Plan) -> dict[str, str]:
    """Return the names of the columns of a table of results, with their types."""
    grades = {
        f"{grader.name}_{name}": kind
        for grader in plan.specification.graders
        for name, kind in _GRADE.items()
    }
    return {**_PLACE, **_ANSWER, "error": _TEXT, **grades}


def iterate_results(database: Database, plan: Plan) -> Iterator[Json]:
    """Yield all cells of an evaluation as the API renders them, read a page at a time."""
    most, begin = reports.count_page_prompts(plan), 0
    while page := database.read_now(reports.list_results, plan, begin, most):
        yield from render_results(plan, page)
        begin = page[-1].row.number + 1


def write_csv(database: Database, plan: Plan) -> Iterator[bytes]:
    """Yield a CSV file in pieces. No cell of it is run as a formula by a spreadsheet."""
    names = list(list_columns(plan))
    yield _encode_rows([[cell(name) for name in names]])
    for result in iterate_results(database, plan):
        row = _flatten(result)
        yield _encode_rows([[cell(row.get(name)) for name in names]])


def write_parquet(database: Database, plan: Plan, file: IO[bytes]) -> None:
    """Write a Parquet file. Raises InvalidRequestError where the extra is not installed."""
    arrow = _import_arrow()
    fields = [(name, getattr(arrow, kind)()) for name, kind in _arrow_kinds(plan).items()]
    schema = arrow.schema(fields)
    rows = (_flatten(result) for result in iterate_results(database, plan))
    with arrow.parquet.ParquetWriter(file, schema) as writer:
        while group := list(itertools.islice(rows, PARQUET_ROWS)):
            writer.write_table(arrow.Table.from_pylist(group, schema=schema))


def _arrow_kinds(plan: Plan) -> dict[str, str]:
    kinds = {_FLAG: "bool_"}
    return {name: kinds.get(kind, kind) for name, kind in list_columns(plan).items()}


def _import_arrow() -> Any:
    try:
        import pyarrow as pa  # an optional extra
        import pyarrow.parquet
    except ImportError:
        raise InvalidRequestError(
            "format: Parquet needs pyarrow on the server: pip install 'waybill-broker[parquet]'. "
            "CSV needs nothing.",
            param="format",
        ) from None
    return pa


def _flatten(result: Json) -> Json:
    """Return a cell as a row of a table."""
    answer: Json = result["answer"] or {}
    error = result["error"] or answer.get("error") or {}
    row = {name: result[name] for name in _PLACE}
    for name in _AS_JSON:
        value = row[name]
        is_plain = value is None or isinstance(value, str)
        row[name] = value if is_plain else orjson.dumps(value).decode()
    row |= {name: answer.get(name) for name in _ANSWER}
    row["error"] = error.get("message")
    for grader, grade in result["grades"].items():
        row |= {f"{grader}_{name}": grade[name] for name in _GRADE}
    return row


def _encode_rows(rows: list[list[Any]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()
