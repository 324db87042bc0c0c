"""`waybill run`: a file of prompts, to a file of results, however often it is interrupted."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from broker.completion import Json
from broker.queues import Lane
from cli.remote.client import complain
from cli.remote.patient import PatientClient
from cli.remote.server import Server, ServerError, configured
from cli.run.file import Input, Line, read
from cli.run.key import RunKey
from cli.run.lines import LineRunner, Refusal
from cli.run.progress import Board, Tally
from cli.run.results import Results, ResultsError, result_of_job, result_of_refusal

SHOWN_PROBLEMS = 20
SHOWN_REASONS = 5


@dataclass(frozen=True, slots=True)
class Terms:
    """How to run."""

    lane: Lane = Lane.BATCH
    max_in_flight: int = 200
    patience: float = 600.0  # seconds the server may be away
    retry_failed: bool = False
    most_seconds: float | None = None  # for the whole run
    on_job: Callable[[Json], None] = lambda _: None  # told of each job that ended


def run(
    source: Annotated[
        Path, typer.Argument(metavar="PROMPTS", exists=True, dir_okay=False, help="A JSONL file.")
    ],
    model: Annotated[
        str | None,
        typer.Option("-m", "--model", envvar="WAYBILL_MODEL", help="For lines that name none."),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", dir_okay=False, help="Where results go.")
    ] = Path("results.jsonl"),
    max_in_flight: Annotated[int, typer.Option(min=1, help="Jobs out at a time.")] = 200,
    lane: Annotated[Lane, typer.Option(help="Batch jobs never delay interactive ones.")] = (
        Lane.BATCH
    ),
    patience: Annotated[float, typer.Option(help="Seconds the server may be away.")] = 600.0,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run lines that failed before anew.")
    ] = False,
) -> None:
    """Run every line of a file as a job and write each result as soon as it is there.

    A line is a JSON string (a prompt), or an object with `prompt` or `messages`, and perhaps
    `custom_id`, `model` and other fields of a chat body. Started again, the same command goes on
    where it was: nothing is done or paid twice. What makes it the same run is kept in OUTPUT.run.
    """
    with source.open("rb") as file:
        lines = _checked(read(file, model), source)
    console = Console(stderr=True)
    terms = Terms(lane, max_in_flight, patience, retry_failed)
    try:
        with Results(output) as results:
            tally = perform(configured(), lines, results, terms, console)
            left = len(results.failed())
    except (ResultsError, ServerError) as error:
        complain(str(error))
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        complain("stopped; jobs that were submitted go on. The same command collects them.")
        raise typer.Exit(130) from None
    summarise(tally, len(lines), left, output, console)
    raise typer.Exit(1 if left else 0)


def perform(
    server: Server, lines: list[Line], results: Results, terms: Terms, console: Console
) -> Tally:
    """Run the lines that have no result yet. Raises ResultsError and ServerError."""
    key = RunKey(results.path)
    known = key.open()
    if terms.retry_failed and (failed := results.failed()):
        key.ask_anew(failed)
        results.drop(failed)
    remaining = results.remaining(lines)
    tally = Tally(total=len(remaining))
    with Board(tally, console) as board:
        if known:
            board.say(f"{key.id} goes on: {len(lines) - len(remaining)} lines were done before")

        def ended(line: Line, outcome: Json | Refusal) -> None:
            result = _result(line, outcome)
            results.add(result)
            tally.add(result)
            board.update()
            if not isinstance(outcome, Refusal):
                terms.on_job(outcome)

        asyncio.run(_run_all(server, remaining, key, terms, board, ended))
    return tally


async def _run_all(
    server: Server,
    lines: list[Line],
    key: RunKey,
    terms: Terms,
    board: Board,
    ended: Callable[[Line, Json | Refusal], None],
) -> None:
    async with PatientClient(server, patience=terms.patience, on_away=board.away) as http:
        runner = LineRunner(http, key, lane=terms.lane.value, on_end=ended)
        try:
            async with asyncio.timeout(terms.most_seconds):
                await runner.run(lines, terms.max_in_flight)
        except TimeoutError:
            raise ServerError(f"not done within {terms.most_seconds:g} s") from None


def summarise(tally: Tally, total: int, left: int, output: Path, console: Console) -> None:
    """Say what came of a run."""

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    say(
        f"{total - left} of {total} lines have an answer; {tally.done} ended now, in "
        f"{tally.seconds:.1f} s ({tally.rate:.1f}/s), for {tally.cost:.6f} USD -> {output}"
    )
    for reason, count in tally.reasons.most_common(SHOWN_REASONS):
        say(f"  {count} x {reason}")
    if left:
        say(f"{left} lines failed: --retry-failed runs them anew")


def _checked(found: Input, source: Path) -> list[Line]:
    for problem in found.problems[:SHOWN_PROBLEMS]:
        complain(f"{source}, {problem}")
    if len(found.problems) > SHOWN_PROBLEMS:
        complain(f"… and {len(found.problems) - SHOWN_PROBLEMS} more")
    if found.problems:
        complain("nothing was submitted")
        raise typer.Exit(1)
    if not found.lines:
        complain(f"{source} is empty")
        raise typer.Exit(1)
    return found.lines


def _result(line: Line, outcome: Json | Refusal) -> Json:
    if isinstance(outcome, Refusal):
        return result_of_refusal(line, outcome.message, outcome.status)
    return result_of_job(line, outcome)
