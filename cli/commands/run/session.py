"""One start of a run: fetch the results of earlier batches, then submit the remaining lines."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx
from rich.console import Console

from broker.batches.prompt_files import Line
from broker.completion import Json
from cli.client.client import Client
from cli.client.server import ServerError
from cli.commands.batch.options import submit, upload
from cli.commands.batch.progress import print_line, watch
from cli.commands.batch.results import NewResults
from cli.commands.run.results import Results, RunError, RunPart, RunState, result_of


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of a run."""

    batch_options: Json = field(default_factory=dict)  # fields of POST /batches
    retry_failed: bool = False
    max_seconds: float = float("inf")  # for the whole session


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
    """Runs lines and writes their results. Its methods raise RunError and ServerError."""

    def __init__(
        self,
        client: Client,
        lines: Sequence[Line],
        results: Results,
        options: RunOptions,
        console: Console,
    ) -> None:
        self._client = client
        self._lines = {line.number: line for line in lines}
        self._results = results
        self._options = options
        self._console = console
        self._state = RunState(results.path)
        self.tally = Tally()

    @property
    def batch_id(self) -> str | None:
        """The last batch."""
        return self._state.parts[-1].batch_id if self._state.parts else None

    def perform(self) -> None:
        """Run until every line has a result, or a batch ended before its lines were run."""
        self._results.remaining(self._lines.values())
        for part in reversed(self._state.parts):
            if missing := self._missing(part):
                name = part.batch_id or "a batch of an earlier start"
                print_line(self._console, f"continuing with {name}: {missing} results are missing")
                self._fetch_results(part)
        if self._options.retry_failed:
            self._results.drop(self._results.failed())
        while remaining := self._results.remaining(self._lines.values()):
            part = self._state.begin(_fit_into_batch(remaining), self._options.batch_options)
            self._fetch_results(part)
            if self._missing(part):
                return

    def _missing(self, part: RunPart) -> int:
        return sum(number not in self._results.done for number in part.lines)

    def _fetch_results(self, part: RunPart) -> None:
        """Write the results of a part as they arrive, until its batch has ended."""
        lines = part.of(self._lines)
        batch_id = part.batch_id or self._submit(part, lines)
        named = {line.custom_id: line for line in lines}
        known = [line.custom_id for line in lines if line.number in self._results.done]
        new_results = NewResults(
            self._client, batch_id, known, lambda found: self._add(named, found)
        )
        batch = watch(lambda: self._poll(new_results, batch_id), self._console)
        for problem in (batch["errors"] or {"data": []})["data"]:
            print_line(self._console, problem["message"])

    def _submit(self, part: RunPart, lines: Sequence[Line]) -> str:
        """Create the batch of a part. Each step is stored before the next one."""
        try:
            if part.file_id is None:
                part.file_id = upload(self._client, lines, f"{self._results.path.stem}.jsonl")
                self._state.save()
            part.batch_id = submit(self._client, part.file_id, part.options, part.key)["id"]
        except ServerError as error:
            if not error.is_passing:
                self._state.drop(part)
            raise
        self._state.save()
        return str(part.batch_id)

    def _poll(self, new_results: NewResults, batch_id: str) -> Json:
        if self.tally.seconds > self._options.max_seconds:
            raise ServerError(f"not done within {self._options.max_seconds:g} s")
        try:
            return new_results.poll()
        except ServerError as error:
            if error.status != httpx.codes.NOT_FOUND:
                raise
            raise RunError(
                f"{batch_id} or its results do not exist any more at {self._client.server.url}: "
                f"delete {self._state.path} to run (and pay for) its lines again"
            ) from None

    def _add(self, named: dict[str, Line], found: Json) -> None:
        result = result_of(named[found["custom_id"]], found)
        if result is not None:
            self._results.add(result)
            self.tally.add(result)


def _fit_into_batch(lines: Sequence[Line]) -> Sequence[Line]:
    """Return the first lines, as many as one batch takes."""
    from broker.batches.options import MAX_BYTES, MAX_LINES  # noqa: PLC0415  # with the database

    size = 0
    for count, line in enumerate(lines[:MAX_LINES]):
        size += len(line.raw)
        if size > MAX_BYTES and count:
            return lines[:count]
    return lines[:MAX_LINES]
