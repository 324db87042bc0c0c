"""`waybill demo`: the whole of Waybill on free ports, at work on 122 prompts for half a minute."""

import contextlib
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from broker.completion import AttemptOutcome, Json
from cli.client.retrying import PatientClient
from cli.client.server import ServerError
from cli.commands.batch.source import Asked, lines
from cli.commands.demo.command import next_steps, report
from cli.commands.demo.server import DemoHouse, HouseError
from cli.commands.run.results import Results
from cli.commands.run.session import Sitting, Tally, Terms
from cli.messages import complain
from cli.start.demonstration import EXAMPLES

PROMPTS = EXAMPLES / "prompts.jsonl"
PATIENCE_SECONDS = 30.0
MOST_SECONDS = 90.0


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Stay up until Ctrl-C.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    flower: Annotated[bool, typer.Option(help="Serve Flower too.")] = True,
) -> None:
    """See it work: start everything, run 122 prompts at simulated providers that fail a lot."""
    console = Console()
    with _sigterm_as_ctrl_c(), tempfile.TemporaryDirectory(prefix="waybill-demo-") as directory:
        house = DemoHouse(Path(directory), flower=flower)
        try:
            console.print("Starting Valkey, the API, workers and a simulated provider …")
            with house.running(workers):
                _show(house, Path(directory), console)
                _say(console, next_steps(house, keep=keep))
                if keep:
                    threading.Event().wait()
                console.print("Stopping …")
        except HouseError as error:
            complain(str(error))
            raise typer.Exit(1) from None
        except ServerError as error:
            complain(f"{error}. `waybill up` said:\n{house.said()}")
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(0 if keep else 130) from None


def _show(house: DemoHouse, directory: Path, console: Console) -> None:
    prompts = list(lines(PROMPTS, Asked()))
    console.print(f"{house.server.url} is ready. Running {len(prompts)} prompts as a batch:")
    client = PatientClient(house.server, patience=PATIENCE_SECONDS)
    terms = Terms(most_seconds=MOST_SECONDS)
    with contextlib.closing(client), Results(directory / "results.jsonl") as results:
        sitting = Sitting(client, prompts, results, terms, console)
        sitting.perform()
        jobs = [client.get(f"/jobs/{result['job_id']}") for result in results.done.values()]
    console.print(report(jobs))
    _say(console, _outcome(sitting.tally, len(prompts), jobs))
    if sitting.tally.done - sitting.tally.failed != len(prompts):
        raise ServerError("not every prompt was answered")


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _outcome(tally: Tally, total: int, jobs: list[Json]) -> str:
    attempts = [attempt for job in jobs for attempt in job["attempts"]]
    refused = sum(attempt["outcome"] != AttemptOutcome.OK for attempt in attempts)
    return (
        f"\n{tally.done - tally.failed} of {total} prompts were answered, in "
        f"{tally.seconds:.1f} s; the providers failed {refused} of {len(attempts)} calls.\n"
    )


@contextlib.contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Whoever stops the demo politely gets its processes and files cleaned up too."""

    def interrupt(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
