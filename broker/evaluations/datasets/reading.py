"""Read the files of datasets: JSONL, CSV, TSV and JSON; YAML and Parquet with an extra."""

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from broker.evaluations.datasets.promptfoo import is_promptfoo, list_cases
from broker.evaluations.datasets.rows import DatasetError, Row, read_rows, separate_columns
from broker.evaluations.specification import Prompt
from broker.spreadsheets import read_csv

LINES = frozenset({".jsonl", ".ndjson", ""})
TABLES = {".csv": ",", ".tsv": "\t"}
YAML = frozenset({".yaml", ".yml"})
SERVED = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
"""The formats that need nothing but Waybill, by the end of the file's name."""


def read_dataset(content: bytes, suffix: str) -> list[Prompt]:
    """Return the prompts of a file; `suffix` is the end of its name, as `.jsonl`.

    Raises DatasetError that names each bad row and its field.
    """
    suffix = suffix.lower()
    try:
        if suffix in TABLES:
            text = io.StringIO(content.decode("utf-8-sig"), newline="")
            return read_table_rows(read_csv(text, TABLES[suffix]))
        if suffix == ".json":
            return read_rows(_list_documents(orjson.loads(content)))
        if suffix in YAML:
            return read_rows(_list_documents(_load_yaml(content)))
    except (UnicodeDecodeError, orjson.JSONDecodeError, ValueError) as error:
        raise DatasetError(f"the file cannot be read: {error}") from None
    if suffix == ".txt":
        lines = content.decode("utf-8-sig", "replace").splitlines()
        return read_rows(
            Row(f"line {number}", line)
            for number, line in enumerate(lines, start=1)
            if line.strip()
        )
    if suffix not in LINES:
        raise DatasetError(f"{suffix} is none of {', '.join(SERVED)}, .txt, .yaml and .parquet")
    return read_rows(_list_lines(content))


def read_table_rows(rows: Iterable[Mapping[str, Any]]) -> list[Prompt]:
    """Return the prompts of a table's rows. Its columns are named `prompt`, `expected` and `id`."""
    return read_rows(
        Row(f"row {number}", separate_columns(row)) for number, row in enumerate(rows, start=1)
    )


def _list_lines(content: bytes) -> Iterator[Row]:
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        if not raw.strip():
            continue
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise DatasetError(f"line {number}: not JSON: {error}") from None
        yield Row(f"line {number}", value)


def _list_documents(value: Any) -> list[Row]:
    if is_promptfoo(value):
        return list_cases(value)
    if isinstance(value, dict) and isinstance(value.get("samples"), list):
        value = value["samples"]
    if not isinstance(value, list):
        raise DatasetError("the file is neither a list of rows nor a promptfoo configuration")
    return [Row(f"row {number}", each) for number, each in enumerate(value, start=1)]


def _load_yaml(content: bytes) -> Any:
    """Return a YAML document. One with aliases is refused: it can become too large."""
    try:
        import yaml  # an optional extra
    except ImportError:
        raise DatasetError("YAML needs pyyaml: pip install 'waybill-broker[yaml]'") from None
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(content)):
            raise DatasetError("aliases (*name) are not read: write the value")
        return yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise DatasetError(f"the file is not YAML: {error}") from None
