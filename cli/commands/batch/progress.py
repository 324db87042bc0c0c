"""Progress of a batch: a live bar on a terminal, else a line every few seconds."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from broker.completion import Json
from cli.client.retrying import OnOutage

ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
MIN_PAUSE_SECONDS = 0.3  # between polls
PAUSE_PER_POLL = 4  # the pause is at least so many times the duration of the last poll
PLAIN_SECONDS = 5.0  # between lines where there is no terminal
RECENT_POLLS = 15  # over which the rate is measured


class Pace:
    """Estimate from the latest polls how fast lines end, and when the last one will."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def add(self, now: float, ended: int) -> None:
        self._seen = [*self._seen[1 - RECENT_POLLS :], (now, ended)]

    @property
    def rate(self) -> float:
        """Lines a second."""
        (first_at, first), (last_at, last) = self._seen[0], self._seen[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else 0.0

    def seconds_left(self, waiting: int) -> float | None:
        return waiting / self.rate if self.rate > 0 else None


def watch(poll: Callable[[], Json], console: Console) -> Json:
    """Show a batch, as `poll` returns it, until it has ended; return it."""
    pace, printed_at = Pace(), 0.0
    with _bar(console) as bar:
        task = bar.add_task("", total=None, text="")
        while True:
            began = time.monotonic()
            batch = poll()
            counts = batch["request_counts"]
            ended = counts["completed"] + counts["failed"]
            pace.add(time.monotonic(), ended)
            text = describe_batch(batch, pace)
            bar.update(task, completed=ended, total=counts["total"] or None, text=text)
            is_over = batch["status"] in ENDED
            if not console.is_terminal and (
                is_over or time.monotonic() - printed_at > PLAIN_SECONDS
            ):
                printed_at = time.monotonic()
                print_line(console, text)
            if is_over:
                return batch
            time.sleep(max(MIN_PAUSE_SECONDS, (time.monotonic() - began) * PAUSE_PER_POLL))


def print_line(console: Console, text: str) -> None:
    """Print a line unchanged, above the bar."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def on_outage(console: Console) -> OnOutage:
    """Return a function that prints when the server stops or starts to answer."""
    return lambda reason: print_line(
        console, f"waiting: {reason}" if reason else "the server answers again"
    )


def describe_batch(batch: Json, pace: Pace | None = None) -> str:
    """Return a batch in one line: status, counts, rate, cost and the estimated end."""
    counts, cost = batch["request_counts"], batch["usage"]["cost"]
    ended = counts["completed"] + counts["failed"]
    words = [batch["status"], f"{ended}/{counts['total']}", f"{counts['failed']} failed"]
    if pace is not None and batch["status"] not in ENDED:
        words.append(f"{pace.rate:.1f}/s")
    words.append(f"{cost:.6f} USD")
    if pace is not None and (left := pace.seconds_left(counts["total"] - ended)) and ended:
        words.append(f"ends in {_duration(left)}")
    reason = batch["stop_reason"] or batch["waits_for"]
    return ", ".join([*words, reason] if reason else words)


def _bar(console: Console) -> Progress:
    return Progress(
        BarColumn(), TextColumn("{task.fields[text]}"), console=console,
        disable=not console.is_terminal,
    )  # fmt: skip


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
