"""`waybill run`: run a file of prompts; an interrupted run continues."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from broker.batches.prompt_files import Line, LineDefaults, SourceError, lines
from broker.table_files import is_table
from cli.client.client import connected
from cli.client.retrying import RetryingClient
from cli.client.server import configured
from cli.commands.batch.options import (
    BatchOptions,
    MaxCost,
    Model,
    Source,
    TemplateText,
    batch_options,
    refuse,
)
from cli.commands.batch.progress import on_outage, print_line
from cli.commands.run.results import Results, RunError
from cli.commands.run.session import RunOptions, RunSession, Tally
from cli.messages import print_error

SHOWN_REASONS = 5


def run(
    source: Source,
    model: Model = None,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", dir_okay=False, help="Output file for results, as JSONL."),
    ] = Path("results.jsonl"),
    template: TemplateText = None,
    max_cost: MaxCost = None,
    settings: BatchOptions = None,
    patience: Annotated[
        float, typer.Option(metavar="SECONDS", help="Seconds to wait for an unreachable server.")
    ] = 600.0,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run lines that failed before again.")
    ] = False,
) -> None:
    """Run a file as a batch and write each result as soon as it is there.

    A line is a JSON string (a prompt), or an object with `prompt` or `messages`, and perhaps
    `custom_id`, `model` and other fields of a chat body; or a request in OpenAI's batch format.
    Ctrl-C leaves the batch running. The same command continues it later: nothing is done or paid
    twice. The state of the run is kept in OUTPUT.run.
    """
    if is_table(output):
        raise typer.BadParameter(
            "results are JSON lines; a table is written by `waybill batch results`",
            param_hint="--output",
        )
    fields, body = batch_options(settings, max_cost)
    found = _read(source, LineDefaults(model, template, body))
    console = Console(stderr=True)
    client = RetryingClient(configured(), timeout=patience, on_outage=on_outage(console))
    try:
        with connected(client), Results(output) as results:
            session = RunSession(client, found, results, RunOptions(fields, retry_failed), console)
            _perform(session)
            failed, remaining = len(results.failed()), len(results.remaining(found))
    except RunError as error:
        print_error(str(error))
        raise typer.Exit(1) from None
    print_summary(session.tally, len(found) - failed - remaining, len(found), output, console)
    if failed:
        print_line(console, f"{failed} lines failed: --retry-failed runs them again")
    if remaining:
        print_line(
            console, f"{remaining} lines were not run: the same command runs them, as a new batch"
        )
    raise typer.Exit(1 if failed or remaining else 0)


def print_summary(tally: Tally, answered: int, total: int, output: Path, console: Console) -> None:
    """Print the outcome of a run."""
    print_line(
        console,
        f"{answered} of {total} lines have an answer; {tally.done} ended now, in "
        f"{tally.seconds:.1f} s, for {tally.cost:.6f} USD -> {output}",
    )
    for reason, count in tally.reasons.most_common(SHOWN_REASONS):
        print_line(console, f"  {count} x {reason}")


def _read(source: Path, defaults: LineDefaults) -> list[Line]:
    try:
        return list(lines(source, defaults))
    except SourceError as error:
        refuse(error)


def _perform(session: RunSession) -> None:
    try:
        session.perform()
    except KeyboardInterrupt:
        batch_id = session.batch_id
        if batch_id is None:
            print_error("stopped: the same command continues")
        else:
            print_error(
                f"{batch_id} continues: the same command fetches its results; "
                f"`waybill batch cancel {batch_id}` cancels it"
            )
        raise typer.Exit(130) from None
