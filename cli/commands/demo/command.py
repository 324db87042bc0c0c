"""`waybill demo`: start everything on free ports and run 122 prompts, for half a minute.

The report shows the attempts of the jobs for each provider.
"""

import contextlib
import signal
import statistics
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from broker.batches.prompt_files import LineDefaults, lines
from broker.completion import AttemptOutcome, Json
from cli.client.retrying import RetryingClient
from cli.client.server import ServerError
from cli.commands.demo.server import DemoServer, DemoServerError
from cli.commands.run.results import Results
from cli.commands.run.session import RunOptions, RunSession, Tally
from cli.messages import print_error
from cli.output import Table
from cli.start.demonstration import EXAMPLES

PROMPTS = EXAMPLES / "prompts.jsonl"
MAX_OUTAGE_SECONDS = 30.0
MAX_SECONDS = 90.0


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep running until Ctrl-C.")] = False,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Worker processes.")] = 1,
    flower: Annotated[bool, typer.Option(help="Start Flower.")] = True,
) -> None:
    """Start everything and run 122 prompts at simulated providers that fail often."""
    console = Console()
    with _sigterm_as_ctrl_c(), tempfile.TemporaryDirectory(prefix="waybill-demo-") as directory:
        demo_server = DemoServer(Path(directory), flower=flower)
        try:
            console.print("Starting Valkey, the API, workers and a simulated provider …")
            with demo_server.running(workers):
                _run_prompts(demo_server, Path(directory), console)
                _print(console, next_steps(demo_server, keep=keep))
                if keep:
                    threading.Event().wait()
                console.print("Stopping …")
        except DemoServerError as error:
            print_error(str(error))
            raise typer.Exit(1) from None
        except ServerError as error:
            print_error(f"{error}. Output of `waybill up`:\n{demo_server.read_log()}")
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(0 if keep else 130) from None


def _run_prompts(demo_server: DemoServer, directory: Path, console: Console) -> None:
    prompts = list(lines(PROMPTS, LineDefaults()))
    console.print(f"{demo_server.server.url} is ready. Running {len(prompts)} prompts as a batch:")
    client = RetryingClient(demo_server.server, timeout=MAX_OUTAGE_SECONDS)
    options = RunOptions(max_seconds=MAX_SECONDS)
    with contextlib.closing(client), Results(directory / "results.jsonl") as results:
        session = RunSession(client, prompts, results, options, console)
        session.perform()
        jobs = [client.get(f"/jobs/{result['job_id']}") for result in results.done.values()]
    console.print(report(jobs))
    _print(console, _outcome(session.tally, len(prompts), jobs))
    if session.tally.done - session.tally.failed != len(prompts):
        raise ServerError("not every prompt was answered")


def _print(console: Console, text: str) -> None:
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
    """Treat SIGTERM like Ctrl-C, so that processes and files are cleaned up."""

    def interrupt(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


EndpointName = tuple[str, str]  # provider, model


@dataclass
class CallCounts:
    """The calls and costs at one provider."""

    answered: int = 0  # jobs that got their answer here
    attempts: int = 0
    retries: int = 0  # attempts right after one at the same endpoint
    fallbacks: int = 0  # attempts right after one at another endpoint
    tokens: int = 0
    cost: float = 0.0
    latencies: list[int] = field(default_factory=list)  # of the answers, in milliseconds

    def add(self, other: "CallCounts") -> None:
        self.answered += other.answered
        self.attempts += other.attempts
        self.retries += other.retries
        self.fallbacks += other.fallbacks
        self.tokens += other.tokens
        self.cost += other.cost
        self.latencies += other.latencies


def count_calls(jobs: Iterable[Json]) -> dict[EndpointName, CallCounts]:
    """Return the counts of each endpoint."""
    found: dict[EndpointName, CallCounts] = defaultdict(CallCounts)
    for job in jobs:
        before: EndpointName | None = None
        for attempt in job["attempts"]:
            endpoint = (attempt["provider"], attempt["model"])
            counts = found[endpoint]
            counts.attempts += 1
            counts.retries += endpoint == before
            counts.fallbacks += before not in (None, endpoint)
            before = endpoint
            if attempt["outcome"] == AttemptOutcome.OK:
                _add_answer(counts, job, attempt)
    return dict(found)


def report(jobs: Iterable[Json]) -> Table:
    """Return the table, with the sum of all endpoints."""
    table = Table(
        title="\nCalls at each endpoint (p50 and p95: milliseconds to an answer)",
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in ("provider", "model"):
        table.add_column(name, no_wrap=True)
    for name in ("jobs", "attempts", "retries", "fallbacks", "tokens", "USD", "p50", "p95"):
        table.add_column(name, justify="right", no_wrap=True)
    total = CallCounts()
    for (provider, model), counts in sorted(count_calls(jobs).items()):
        table.add_row(provider, model, *_cells(counts))
        total.add(counts)
    table.add_row("all", "", *_cells(total), style="bold")
    return table


def next_steps(demo_server: DemoServer, *, keep: bool) -> str:
    """Return the next steps for the user, while the demo runs and after it."""
    url, read_on = (
        demo_server.server.url,
        "Read on    docs/tutorials/first-ten-minutes.md, step by step",
    )
    if not keep:
        return (
            "Look next  `waybill demo --keep` stays up: API docs, Flower, your own calls\n"
            f"           `waybill up` with e.g. OPENAI_API_KEY set: the real thing\n{read_on}"
        )
    return "\n".join(
        [
            f"API docs   {url}/docs",
            *([f"Flower     {demo_server.flower_url}"] if demo_server.flower_url else []),
            f"Try        export WAYBILL_URL={url}",
            f"           export WAYBILL_API_KEY={demo_server.server.key}",
            "           waybill submit --stream -m acme/large 'Tell me a story'",
            "           waybill jobs list",
            read_on,
            "Ctrl-C stops it.",
        ]
    )


def _add_answer(counts: CallCounts, job: Json, attempt: Json) -> None:
    counts.answered += 1
    counts.latencies.append(attempt["duration_ms"])
    usage = job["usage"]
    if usage is not None:
        counts.tokens += usage["total_tokens"]
        counts.cost += usage["cost"]


def _cells(counts: CallCounts) -> Sequence[str]:
    figures = (counts.answered, counts.attempts, counts.retries, counts.fallbacks, counts.tokens)
    return [
        *(f"{figure:,}" if figure else "-" for figure in figures),
        f"{counts.cost:.6f}",
        _percentile(counts.latencies, 50),
        _percentile(counts.latencies, 95),
    ]


def _percentile(values: Sequence[int], percent: int) -> str:
    if not values:
        return "-"
    if len(values) == 1:
        return str(values[0])
    return f"{statistics.quantiles(values, n=100, method='inclusive')[percent - 1]:.0f}"
