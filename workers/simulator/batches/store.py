"""A provider's state: uploaded files, and batches with their lines."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import uuid4

from workers.simulator.behaviour import BatchFate, Behaviour, UnknownModelError, parse
from workers.simulator.counters import Counters
from workers.simulator.faults import SERVER_ERROR, refusal_due
from workers.simulator.replies import compose
from workers.simulator.wire import Head, RefusedError, Wire


class Line(NamedTuple):
    """One request of a batch."""

    custom_id: str
    body: bytes
    wire: Wire
    model: str


class Done(NamedTuple):
    """A line and its answer. A status of 0 means that it was not run."""

    line: Line
    status: int
    body: bytes


@dataclass(slots=True)
class SimulatedBatch:
    """A batch."""

    id: str
    lines: Sequence[Line]
    head: Head  # of the call that created it
    about: Any = None  # data of its API
    created_at: float = field(default_factory=time.time)
    cancelled_at: float | None = None
    results: list[Done] | None = None

    @property
    def behaviour(self) -> Behaviour:
        try:
            return parse(self.lines[0].model)
        except UnknownModelError:
            return Behaviour()

    @property
    def is_over(self) -> bool:
        return self.cancelled_at is not None or self._age_ms() >= self.behaviour.batch_ms

    @property
    def fate(self) -> BatchFate | None:
        return self.behaviour.batch_fate

    @property
    def stopped(self) -> bool:
        """Return whether it ends with lines that were not run."""
        return self.cancelled_at is not None or self.fate is BatchFate.EXPIRE

    def _age_ms(self) -> float:
        return (time.time() - self.created_at) * 1000

    def done(self, counters: Counters) -> list[Done]:
        """Return all lines with their answers, in another order than the input."""
        if self.results is None:
            run = len(self.lines) // 2 if self.stopped else len(self.lines)
            self.results = [
                self._run(number, line, counters) if number < run else Done(line, 0, b"")
                for number, line in enumerate(self.lines)
            ][::-1]
        return self.results

    def _run(self, number: int, line: Line, counters: Counters) -> Done:
        seen = counters.enter(line.model, line.body)
        counters.leave()
        percent = self.behaviour.batch_fail_percent
        unlucky = (number + 1) * percent // 100 != number * percent // 100
        try:
            request = line.wire.read(self.head, line.body)
            behaviour = parse(request.model)
            refusal = SERVER_ERROR if unlucky else refusal_due(behaviour, line.body, seen)
            if refusal is None:
                return Done(line, 200, line.wire.answer(request, compose(request, behaviour)))
        except UnknownModelError:
            refusal = SERVER_ERROR
        except RefusedError as error:
            refusal = error.refusal
        return Done(line, line.wire.status(refusal), line.wire.refuse(refusal))


@dataclass(slots=True)
class Store:
    """The state of one provider."""

    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, SimulatedBatch] = field(default_factory=dict)

    def add_file(self, content: bytes) -> str:
        file_id = f"file-{uuid4().hex}"
        self.files[file_id] = content
        return file_id

    def add(self, prefix: str, lines: Sequence[Line], head: Head, about: Any) -> SimulatedBatch:
        batch = SimulatedBatch(f"{prefix}{uuid4().hex}", lines, head, about)
        self.batches[batch.id] = batch
        return batch
