"""What the demo's jobs went through, provider by provider, from their attempts."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from broker.completion import AttemptOutcome, Json
from cli.commands.demo.server import DemoHouse
from cli.output import Table

Place = tuple[str, str]  # provider, model


@dataclass
class Ledger:
    """What happened at one place."""

    answered: int = 0  # jobs that got their answer here
    attempts: int = 0
    retries: int = 0  # attempts right after one at the same place
    fallbacks: int = 0  # attempts right after one elsewhere
    tokens: int = 0
    cost: float = 0.0
    latencies: list[int] = field(default_factory=list)  # of the answers, in milliseconds

    def add(self, other: "Ledger") -> None:
        self.answered += other.answered
        self.attempts += other.attempts
        self.retries += other.retries
        self.fallbacks += other.fallbacks
        self.tokens += other.tokens
        self.cost += other.cost
        self.latencies += other.latencies


def tell(jobs: Iterable[Json]) -> dict[Place, Ledger]:
    """Return what happened at each place."""
    ledgers: dict[Place, Ledger] = defaultdict(Ledger)
    for job in jobs:
        before: Place | None = None
        for attempt in job["attempts"]:
            place = (attempt["provider"], attempt["model"])
            ledger = ledgers[place]
            ledger.attempts += 1
            ledger.retries += place == before
            ledger.fallbacks += before not in (None, place)
            before = place
            if attempt["outcome"] == AttemptOutcome.OK:
                _answered(ledger, job, attempt)
    return dict(ledgers)


def report(jobs: Iterable[Json]) -> Table:
    """Return the table, with the sum of all places."""
    table = Table(
        title="\nWhere the jobs went (p50 and p95: milliseconds to an answer)",
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in ("provider", "model"):
        table.add_column(name, no_wrap=True)
    for name in ("jobs", "attempts", "retries", "fallbacks", "tokens", "USD", "p50", "p95"):
        table.add_column(name, justify="right", no_wrap=True)
    total = Ledger()
    for (provider, model), ledger in sorted(tell(jobs).items()):
        table.add_row(provider, model, *_cells(ledger))
        total.add(ledger)
    table.add_row("all", "", *_cells(total), style="bold")
    return table


def next_steps(house: DemoHouse, *, keep: bool) -> str:
    """Return where to look next, while the demo is up and after."""
    url, read_on = house.server.url, "Read on    docs/tutorials/first-ten-minutes.md, step by step"
    if not keep:
        return (
            "Look next  `waybill demo --keep` stays up: API docs, Flower, your own calls\n"
            f"           `waybill up` with e.g. OPENAI_API_KEY set: the real thing\n{read_on}"
        )
    return "\n".join(
        [
            f"API docs   {url}/docs",
            *([f"Flower     {house.flower_url}"] if house.flower_url else []),
            f"Try        export WAYBILL_URL={url}",
            f"           export WAYBILL_API_KEY={house.server.key}",
            "           waybill submit --stream -m acme/large 'Tell me a story'",
            "           waybill jobs list",
            read_on,
            "Ctrl-C stops it.",
        ]
    )


def _answered(ledger: Ledger, job: Json, attempt: Json) -> None:
    ledger.answered += 1
    ledger.latencies.append(attempt["duration_ms"])
    usage = job["usage"]
    if usage is not None:
        ledger.tokens += usage["total_tokens"]
        ledger.cost += usage["cost"]


def _cells(ledger: Ledger) -> Sequence[str]:
    counts = (ledger.answered, ledger.attempts, ledger.retries, ledger.fallbacks, ledger.tokens)
    return [
        *(f"{count:,}" if count else "-" for count in counts),
        f"{ledger.cost:.6f}",
        _percentile(ledger.latencies, 50),
        _percentile(ledger.latencies, 95),
    ]


def _percentile(values: Sequence[int], percent: int) -> str:
    if not values:
        return "-"
    if len(values) == 1:
        return str(values[0])
    return f"{statistics.quantiles(values, n=100, method='inclusive')[percent - 1]:.0f}"
