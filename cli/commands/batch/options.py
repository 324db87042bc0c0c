"""Options of the commands that make a batch, and the requests that make it."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import orjson
import typer

from broker.batches.prompt_files import Line, SourceError
from broker.completion import Json
from cli.client.client import Client
from cli.messages import print_error

Source = Annotated[
    Path,
    typer.Argument(exists=True, dir_okay=False, help="JSONL, CSV, TSV or Parquet."),
]
Model = Annotated[
    str | None,
    typer.Option("-m", "--model", envvar="WAYBILL_MODEL", help="Model of lines that name none."),
]
TemplateText = Annotated[
    str | None, typer.Option("--template", help="For tables: a prompt with {column} in it.")
]
MaxCost = Annotated[
    float | None, typer.Option(metavar="USD", help="Spending cap of the batch in US dollars.")
]
BatchOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any field of POST /batches, e.g. completion_window=7d, max_concurrency=20, "
        "priority=5, dedupe=true; body.NAME is for every prompt, e.g. body.max_tokens=50. "
        "May be repeated.",
    ),
]


def batch_options(texts: list[str] | None, max_cost: float | None) -> tuple[Json, Json]:
    """Return the fields of the batch, and those of every prompt's body."""
    if max_cost is not None and not 0 < max_cost < float("inf"):
        raise typer.BadParameter("must be more than 0 US dollars", param_hint="--max-cost")
    fields: Json = {} if max_cost is None else {"max_cost": max_cost}
    body: Json = {}
    for text in texts or []:
        name, given, value = text.partition("=")
        if not given or not name:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--set")
        target = body if name.startswith("body.") else fields
        target[name.removeprefix("body.")] = _value(value)
    return fields, body


def refuse(error: SourceError) -> NoReturn:
    """Print what is wrong with a source, and exit with 1."""
    for problem in str(error).splitlines():
        print_error(problem)
    print_error("nothing was submitted")
    raise typer.Exit(1)


def upload(client: Client, found: Iterable[Line], name: str) -> str:
    """Upload requests as a batch's input; return the file's id. Raises SourceError, ServerError."""
    with tempfile.TemporaryFile() as file:
        for line in found:
            file.write(line.raw)
        file.seek(0)
        return str(client.upload(file, name, purpose="batch")["id"])


def submit(client: Client, file_id: str, options: Json, key: str) -> Json:
    """Create a batch, or return the one created with this key. Raises ServerError."""
    body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", **options}
    return client.post("/batches", body, idempotency_key=key)


def _value(text: str) -> Any:
    """Return a value read as JSON, or the text if it is not JSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
