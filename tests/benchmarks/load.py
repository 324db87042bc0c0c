"""A closed-loop load generator: so many callers, each waiting for its answer before the next."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
import orjson


@dataclass(frozen=True)
class Result:
    """The measurements of one run of load."""

    latencies_ms: list[float]  # sorted
    seconds: float
    failures: int

    @property
    def rate(self) -> float:
        return len(self.latencies_ms) / self.seconds

    def percentile(self, share: float) -> float:
        return self.latencies_ms[
            min(int(len(self.latencies_ms) * share), len(self.latencies_ms) - 1)
        ]


async def load(url: str, key: str, body: dict, *, callers: int, calls: int) -> Result:
    """Make `calls` calls with `callers` at once; anything but a whole 200 counts as a failure."""
    data = orjson.dumps(body)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    latencies: list[float] = []
    failures = 0
    tickets: Iterator[int] = iter(range(calls))

    async def caller(session: aiohttp.ClientSession) -> None:
        nonlocal failures
        for _ in tickets:
            began = time.perf_counter()
            async with session.post(url, data=data, headers=headers) as answer:
                text = await answer.read()
                failures += answer.status != 200 or not _is_whole(text, body)
            latencies.append((time.perf_counter() - began) * 1000)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        began = time.perf_counter()
        await asyncio.gather(*(caller(session) for _ in range(callers)))
        seconds = time.perf_counter() - began
    return Result(sorted(latencies), seconds, failures)


def _is_whole(text: bytes, body: dict) -> bool:
    return text.rstrip().endswith(b"[DONE]") if body.get("stream") else b'"usage"' in text
