"""`waybill batch`: create, status, watch, results, cancel, retry, list."""

import sys
import uuid
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from broker.batches.prompt_files import LineDefaults, SourceError, lines
from broker.completion import Json
from broker.table_files import TableError, is_table
from cli.client.client import Client, connected
from cli.client.retrying import RetryingClient
from cli.client.server import configured
from cli.commands.batch import results as answers
from cli.commands.batch.options import (
    BatchOptions,
    MaxCost,
    Model,
    Source,
    TemplateText,
    batch_options,
    refuse,
    submit,
    upload,
)
from cli.commands.batch.progress import describe_batch, on_outage, watch
from cli.messages import print_error
from cli.output import print_json

batch = typer.Typer(help="Run files of prompts as batches.", no_args_is_help=True)

BatchId = Annotated[str, typer.Argument(help="Batch id (batch_…).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the raw object.")]
LINE_SUFFIXES = frozenset({"", ".jsonl", ".ndjson", ".json", ".txt"})  # of files with JSON lines
WITHOUT_RESULTS = {"results": "false"}
MAX_OUTAGE_SECONDS = 600.0  # for which the server may not answer
Watched = Annotated[bool, typer.Option("--watch", "-w", help="Show the progress until the end.")]


@batch.command()
def create(
    source: Source,
    model: Model = None,
    template: TemplateText = None,
    max_cost: MaxCost = None,
    window: Annotated[str, typer.Option(help="Time limit for the batch: 15m … 7d.")] = "24h",
    settings: BatchOptions = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would run, without running it.")
    ] = False,
    watched: Watched = False,
) -> None:
    """Run a file as a batch: each line or row is a request.

    A line is a prompt or a request, as for `waybill run`. Prints the batch's id.
    """
    fields, body = batch_options(settings, max_cost)
    options: Json = {"completion_window": window, "dry_run": dry_run, **fields}
    with connected() as client:
        found = _submit(client, source, LineDefaults(model, template, body), options)
        if dry_run:
            print_json(found)
            return
    _started(found, watched=watched)


@batch.command()
def status(batch_id: BatchId, as_json: AsJson = False) -> None:
    """Show the progress of a batch."""
    with connected() as client:
        found = client.get(f"/batches/{batch_id}", WITHOUT_RESULTS)
    if as_json:
        print_json(found)
    else:
        _print_batch(found)


@batch.command("list")
def list_batches(
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=100, help="Number of rows.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List batches, newest first."""
    with connected() as client:
        page = client.get("/batches", {"limit": limit})
    if as_json:
        print_json(page)
        return
    for found in page["data"]:
        print(f"{found['id']}  {describe_batch(found)}")


@batch.command("watch")
def watch_batch(batch_id: BatchId) -> None:
    """Show a batch until it ends: done, failed, rate, cost and the estimated end."""
    _watch(batch_id)


@batch.command()
def results(
    batch_id: BatchId,
    output: Annotated[
        Path, typer.Option("-o", "--output", dir_okay=False, help=".jsonl, .csv, .tsv, .parquet")
    ] = Path("results.jsonl"),
    source: Annotated[
        Path | None,
        typer.Option(
            "--input", exists=True, dir_okay=False, help="The table from which the batch was made."
        ),
    ] = None,
) -> None:
    """Write the available results, also while the batch runs.

    A table of answers has the columns of `--input` before its own.
    """
    if not is_table(output) and output.suffix.lower() not in LINE_SUFFIXES:
        raise typer.BadParameter(
            f"{output.suffix} is none of .jsonl, .csv, .tsv, .parquet", param_hint="--output"
        )
    with connected() as client:
        found = answers.results(client, batch_id)
        try:
            if is_table(output):
                count = answers.write_table(output, found, source)
            else:
                count = answers.write_lines(output, found)
        except (TableError, OSError) as error:
            print_error(str(error))
            raise typer.Exit(1) from None
    print_error(f"{count} results -> {output}")


@batch.command()
def cancel(batch_id: BatchId, as_json: AsJson = False) -> None:
    """Cancel a batch: no more lines start; results so far are kept."""
    with connected() as client:
        found = client.post(f"/batches/{batch_id}/cancel")
    if as_json:
        print_json(found)
    else:
        _print_batch(found)


@batch.command()
def retry(
    batch_id: BatchId,
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Overrides the model of each line.")
    ] = None,
    watched: Watched = False,
) -> None:
    """Run the failed lines again as a new batch, and print its id."""
    body = {} if model is None else {"model": model}
    with connected() as client:
        key = uuid.uuid4().hex
        found = client.post(f"/batches/{batch_id}/retry", body, idempotency_key=key)
    _started(found, watched=watched)


def _submit(client: Client, source: Path, defaults: LineDefaults, options: Json) -> Json:
    """Upload the source as a batch's input, and make the batch."""
    try:
        file_id = upload(client, lines(source, defaults), source.with_suffix(".jsonl").name)
    except SourceError as error:
        refuse(error)
    return submit(client, file_id, options, uuid.uuid4().hex)


def _started(found: Json, *, watched: bool) -> None:
    print(found["id"], flush=True)
    if watched:
        _watch(found["id"])


def _watch(batch_id: str) -> None:
    console = Console(stderr=True)
    retrying = RetryingClient(
        configured(), timeout=MAX_OUTAGE_SECONDS, on_outage=on_outage(console)
    )
    try:
        with connected(retrying) as client:
            found = watch(lambda: client.get(f"/batches/{batch_id}", WITHOUT_RESULTS), console)
    except KeyboardInterrupt:
        print_error(f"the batch continues: waybill batch watch {batch_id}")
        raise typer.Exit(130) from None
    for problem in (found["errors"] or {"data": []})["data"]:
        print_error(problem["message"])
    is_good = found["status"] == "completed" and not found["request_counts"]["failed"]
    raise typer.Exit(0 if is_good else 1)


def _print_batch(found: Json) -> None:
    print(describe_batch(found), file=sys.stdout)
    for problem in (found["errors"] or {"data": []})["data"]:
        print_error(problem["message"])
