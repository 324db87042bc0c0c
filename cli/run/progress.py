"""How far a run has come: counted, and shown while it goes."""

import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from broker.completion import Json
from broker.states import JobState

PLAIN_SECONDS = 5.0  # between lines where there is no terminal


@dataclass
class Tally:
    """What has come of a run so far."""

    total: int
    done: int = 0  # ended in this sitting, whichever way
    failed: int = 0
    cost: float = 0.0  # US dollars
    reasons: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)

    def add(self, result: Json) -> None:
        self.done += 1
        self.cost += result["cost"] or 0.0
        if result["status"] != JobState.COMPLETED:
            self.failed += 1
            told = (result.get("error") or {}).get("message") or "no answer"
            self.reasons[f"{result['status']}: {told}"] += 1

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def rate(self) -> float:
        """Ended lines a second."""
        return self.done / max(self.seconds, 0.001)


class Board:
    """Shows a tally: a live bar on a terminal, else a line every few seconds."""

    def __init__(self, tally: Tally, console: Console) -> None:
        self._tally = tally
        self._console = console
        self._told_at = tally.began
        self._bar = Progress(
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("[red]{task.fields[failed]} failed"),
            TextColumn("{task.fields[rate]:.1f}/s"),
            TextColumn("{task.fields[cost]:.6f} USD"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=tally.total, failed=0, rate=0.0, cost=0.0)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(self) -> None:
        """Show the tally as it is now."""
        tally = self._tally
        self._bar.update(
            self._task,
            completed=tally.done,
            failed=tally.failed,
            rate=tally.rate,
            cost=tally.cost,
        )
        if not self._console.is_terminal and time.monotonic() - self._told_at > PLAIN_SECONDS:
            self._told_at = time.monotonic()
            self.say(
                f"{tally.done}/{tally.total}, {tally.failed} failed, {tally.rate:.1f}/s, "
                f"{tally.cost:.6f} USD"
            )

    def away(self, reason: str | None) -> None:
        """Tell of a server that went away, or came back."""
        self.say(f"waiting: {reason}" if reason else "the server answers again")

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
