"""`waybill run`: a file of prompts, to a file of results, however often it is interrupted."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

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
from cli.commands.batch.progress import on_away, say
from cli.commands.batch.source import Line, LineDefaults, SourceError, lines
from cli.commands.batch.table_files import is_table
from cli.commands.run.results import Results, RunError
from cli.commands.run.session import RunOptions, RunSession, Tally
from cli.messages import complain

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
        float, typer.Option(help="Seconds to wait for an unreachable server.")
    ] = 600.0,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run lines that failed before again.")
    ] = False,
) -> None:
    """Run a file as a batch and write each result as soon as it is there.

    A line is a JSON string (a prompt), or an object with `prompt` or `messages`, and perhaps
    `custom_id`, `model` and other fields of a chat body; or a request in OpenAI's batch format.
    Ctrl-C leaves the batch running. Started again, the same command goes on where it was: nothing
    is done or paid twice. What makes it the same run is kept in OUTPUT.run.
    """
    if is_table(output):
        raise typer.BadParameter(
            "results are JSON lines; a table is written by `waybill batch results`",
            param_hint="--output",
        )
    wish, body = batch_options(settings, max_cost)
    found = _read(source, LineDefaults(model, template, body))
    console = Console(stderr=True)
    client = RetryingClient(configured(), patience=patience, on_away=on_away(console))
    try:
        with connected(client), Results(output) as results:
            sitting = RunSession(client, found, results, RunOptions(wish, retry_failed), console)
            _perform(sitting)
            failed, left = len(results.failed()), len(results.remaining(found))
    except RunError as error:
        complain(str(error))
        raise typer.Exit(1) from None
    summarise(sitting.tally, len(found) - failed - left, len(found), output, console)
    if failed:
        say(console, f"{failed} lines failed: --retry-failed runs them again")
    if left:
        say(console, f"{left} lines were not run: the same command runs them, as a new batch")
    raise typer.Exit(1 if failed or left else 0)


def summarise(tally: Tally, answered: int, total: int, output: Path, console: Console) -> None:
    """Say what came of a run."""
    say(
        console,
        f"{answered} of {total} lines have an answer; {tally.done} ended now, in "
        f"{tally.seconds:.1f} s, for {tally.cost:.6f} USD -> {output}",
    )
    for reason, count in tally.reasons.most_common(SHOWN_REASONS):
        say(console, f"  {count} x {reason}")


def _read(source: Path, asked: LineDefaults) -> list[Line]:
    try:
        return list(lines(source, asked))
    except SourceError as error:
        refuse(error)


def _perform(sitting: RunSession) -> None:
    try:
        sitting.perform()
    except KeyboardInterrupt:
        batch_id = sitting.batch_id
        if batch_id is None:
            complain("stopped: the same command goes on")
        else:
            complain(
                f"{batch_id} goes on without you: the same command fetches its results; "
                f"`waybill batch cancel {batch_id}` calls it off"
            )
        raise typer.Exit(130) from None
