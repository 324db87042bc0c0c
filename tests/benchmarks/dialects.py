"""Calls in the dialects beside chat completions, in turns on one installation, as ratios."""

import asyncio
import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import orjson
from rich.table import Table

from tests.benchmarks import meters
from tests.benchmarks.load import load
from tests.installation import KEY, Installation

MODEL = "sim-tok13"
CHUNKS = 16  # of a stream of the model: the role, 13 pieces, the finish reason, the usage
ROUNDS, CALLERS, CALLS = 7, 16, 400
TURN = [{"role": "user", "content": "Say hello in one sentence."}]
PATHS: dict[str, dict[str, Any]] = {
    "/chat/completions": {"messages": TURN},
    "/responses": {"input": TURN},
    "/messages": {"messages": TURN, "max_tokens": 1_000},
}
CHAT = next(iter(PATHS))


@dataclass(frozen=True)
class Turn:
    """One measurement: milliseconds of a call, and CPU milliseconds per call by part."""

    p50: float
    cpu: dict[str, float]

    @property
    def own_cpu(self) -> float:
        return self.cpu["api"] + self.cpu["worker"]


def measured(installation: Installation) -> Table:
    """Return the medians of all rounds, and their ratios to chat completions of the same round."""
    table = Table(
        *("path", "stream", "p50 ms", "CPU ms: api", "worker", "p50 / chat", "CPU / chat"),
        title=f"Dialects: {CALLERS} callers, {ROUNDS} rounds of {CALLS} calls",
    )
    for stream in (False, True):
        rounds: dict[str, list[Turn]] = defaultdict(list)
        for number in range(ROUNDS + 1):
            for path in PATHS:
                turn = _measure(installation, path, stream=stream)
                if number:  # the first round warms up
                    rounds[path].append(turn)
        for path, turns in rounds.items():
            pairs = list(zip(turns, rounds[CHAT], strict=True))
            table.add_row(
                path, f"{CHUNKS} chunks" if stream else "no",
                f"{statistics.median(each.p50 for each in turns):.1f}",
                f"{statistics.median(each.cpu['api'] for each in turns):.2f}",
                f"{statistics.median(each.cpu['worker'] for each in turns):.2f}",
                f"{statistics.median(own.p50 / chat.p50 for own, chat in pairs):.2f}",
                f"{statistics.median(own.own_cpu / chat.own_cpu for own, chat in pairs):.2f}",
            )  # fmt: skip
    return table


def _measure(installation: Installation, path: str, *, stream: bool) -> Turn:
    body = orjson.loads(orjson.dumps(PATHS[path])) | {"model": f"sim/{MODEL}", "stream": stream}
    before = meters.read(installation)
    result = asyncio.run(load(installation.url + path, KEY, body, callers=CALLERS, calls=CALLS))
    assert not result.failures, f"{result.failures} calls of {path} failed"
    cpu = meters.cpu_ms_per_call(before, meters.read(installation), CALLS)
    return Turn(result.percentile(0.5), cpu)
