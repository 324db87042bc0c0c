"""One start of a run: fetch what was begun before, then submit what is left."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx
from rich.console import Console

from broker.completion import Json
from cli.client.client import Client
from cli.client.server import ServerError
from cli.commands.batch.options import submit, upload
from cli.commands.batch.progress import say, watch
from cli.commands.batch.results import Feed
from cli.commands.batch.source import Line
from cli.commands.run.results import Part, Results, RunError, RunState, result_of


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of a run."""

    wish: Json = field(default_factory=dict)  # fields of POST /batches
    retry_failed: bool = False
    most_seconds: float = float("inf")  # for the whole sitting


@dataclass
class Tally:
    """The counts of a session."""

    done: int = 0
    failed: int = 0
    cost: float = 0.0  # US dollars
    reasons: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)

    def add(self, result: Json) -> None:
        self.done += 1
        self.cost += result["cost"]
        if result["status"] != "completed":
            self.failed += 1
            self.reasons[result["error"]["message"]] += 1

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


class RunSession:
    """Brings lines to their results. Its methods raise RunError and ServerError."""

    def __init__(
        self,
        client: Client,
        lines: Sequence[Line],
        results: Results,
        terms: RunOptions,
        console: Console,
    ) -> None:
        self._client = client
        self._lines = {line.number: line for line in lines}
        self._results = results
        self._terms = terms
        self._console = console
        self._state = RunState(results.path)
        self.tally = Tally()

    @property
    def batch_id(self) -> str | None:
        """The batch that was asked for last."""
        return self._state.parts[-1].batch_id if self._state.parts else None

    def perform(self) -> None:
        """Go on until every line has a result, or a batch stopped before its lines were run."""
        self._results.remaining(self._lines.values())
        for part in reversed(self._state.parts):
            if missing := self._missing(part):
                name = part.batch_id or "a batch that was begun"
                say(self._console, f"going on with {name}: {missing} results are to be fetched")
                self._bring_in(part)
        if self._terms.retry_failed:
            self._results.drop(self._results.failed())
        while left := self._results.remaining(self._lines.values()):
            part = self._state.begin(_as_many_as_fit(left), self._terms.wish)
            self._bring_in(part)
            if self._missing(part):
                return

    def _missing(self, part: Part) -> int:
        return sum(number not in self._results.done for number in part.lines)

    def _bring_in(self, part: Part) -> None:
        """Write the results of a part as they come, until its batch has ended."""
        lines = part.of(self._lines)
        batch_id = part.batch_id or self._submit(part, lines)
        named = {line.custom_id: line for line in lines}
        known = [line.custom_id for line in lines if line.number in self._results.done]
        feed = Feed(self._client, batch_id, known, lambda found: self._add(named, found))
        batch = watch(lambda: self._look(feed, batch_id), self._console)
        for problem in (batch["errors"] or {"data": []})["data"]:
            say(self._console, problem["message"])

    def _submit(self, part: Part, lines: Sequence[Line]) -> str:
        """Make the batch of a part. Each step is written down before the next is taken."""
        try:
            if part.file_id is None:
                part.file_id = upload(self._client, lines, f"{self._results.path.stem}.jsonl")
                self._state.save()
            part.batch_id = submit(self._client, part.file_id, part.wish, part.key)["id"]
        except ServerError as error:
            if not error.is_passing:
                self._state.drop(part)
            raise
        self._state.save()
        return str(part.batch_id)

    def _look(self, feed: Feed, batch_id: str) -> Json:
        if self.tally.seconds > self._terms.most_seconds:
            raise ServerError(f"not done within {self._terms.most_seconds:g} s")
        try:
            return feed.look()
        except ServerError as error:
            if error.status != httpx.codes.NOT_FOUND:
                raise
            raise RunError(
                f"{batch_id}, or its results, are no longer at {self._client.server.url}: delete "
                f"{self._state.path} to ask (and pay) its lines again"
            ) from None

    def _add(self, named: dict[str, Line], found: Json) -> None:
        result = result_of(named[found["custom_id"]], found)
        if result is not None:
            self._results.add(result)
            self.tally.add(result)


def _as_many_as_fit(lines: Sequence[Line]) -> Sequence[Line]:
    """Return the first lines, as many as one batch takes."""
    from broker.batches.vocabulary import MAX_BYTES, MAX_LINES  # noqa: PLC0415  # with the database

    size = 0
    for count, line in enumerate(lines[:MAX_LINES]):
        size += len(line.raw)
        if size > MAX_BYTES and count:
            return lines[:count]
    return lines[:MAX_LINES]
