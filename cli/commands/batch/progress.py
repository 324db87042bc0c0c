"""Progress of a batch: a live bar on a terminal, else a line every few seconds."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from broker.completion import Json
from cli.client.retrying import OnAway

ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
SHORTEST_REST = 0.3  # seconds between looks,
REST_PER_LOOK = 4  # or longer where a look takes long: a large batch is not looked at all the time
PLAIN_SECONDS = 5.0  # between lines where there is no terminal
RECENT = 15  # looks that the rate is taken over


class Pace:
    """Estimate from the latest polls how fast lines end, and when the last one will."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def look(self, now: float, ended: int) -> None:
        self._seen = [*self._seen[1 - RECENT :], (now, ended)]

    @property
    def rate(self) -> float:
        """Lines a second."""
        (first_at, first), (last_at, last) = self._seen[0], self._seen[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else 0.0

    def seconds_left(self, waiting: int) -> float | None:
        return waiting / self.rate if self.rate > 0 else None


def watch(look: Callable[[], Json], console: Console) -> Json:
    """Show a batch, as `look` returns it, until it has ended; return it."""
    pace, told_at = Pace(), 0.0
    with _bar(console) as bar:
        task = bar.add_task("", total=None, text="")
        while True:
            began = time.monotonic()
            batch = look()
            counts = batch["request_counts"]
            ended = counts["completed"] + counts["failed"]
            pace.look(time.monotonic(), ended)
            text = line(batch, pace)
            bar.update(task, completed=ended, total=counts["total"] or None, text=text)
            is_over = batch["status"] in ENDED
            if not console.is_terminal and (is_over or time.monotonic() - told_at > PLAIN_SECONDS):
                told_at = time.monotonic()
                say(console, text)
            if is_over:
                return batch
            time.sleep(max(SHORTEST_REST, (time.monotonic() - began) * REST_PER_LOOK))


def say(console: Console, text: str) -> None:
    """Print a line as it is, above the bar."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def on_away(console: Console) -> OnAway:
    """Return what tells of a server that went away, or came back."""
    return lambda why: say(console, f"waiting: {why}" if why else "the server answers again")


def line(batch: Json, pace: Pace | None = None) -> str:
    """Return a batch in one line: how far, how fast, how dear, until when."""
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
