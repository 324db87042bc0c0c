"""Measure a gateway in the middle of a steady load, or without load; all others are stopped."""

import asyncio
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.benchmarks import gateways, meters
from tests.benchmarks.gateways import Gateway
from tests.benchmarks.load import Crew, Request

GATEWAY_CORE, LOAD_CORE = 0, 1
WARM_UP_SECONDS = 0.7
CALLS_OF_EACH = 2
"""The number of calls that each caller ends before, and in, a measurement: a slow gateway has ended
none of many callers' calls after a second."""
LONGEST_SECONDS = 20
END_SECONDS = 60


@dataclass(frozen=True)
class Sample:
    """One measurement: calls per second, and CPU milliseconds per call by role."""

    rate: float
    p50_ms: float
    failures: int
    cpu_ms: Mapping[str, float]
    server_cpu_ms: Mapping[str, float]


@dataclass(frozen=True)
class Idle:
    """A gateway that nobody calls: its share of a core in percent, and its memory (PSS) in MB."""

    cpu_percent: Mapping[str, float]
    megabytes: Mapping[str, float]


@contextmanager
def taking_turns(running: Sequence[Gateway]) -> Iterator[None]:
    """Stop all gateways; what is measured meanwhile runs as long as it is measured."""
    for each in running:
        each.pause()
    try:
        yield
    finally:
        for each in running:
            each.resume()


async def measure_idle(gateway: Gateway, seconds: float) -> Idle:
    """Measure a gateway that is not called."""
    gateway.resume()
    await asyncio.sleep(WARM_UP_SECONDS)  # what was due while it was stopped is done
    processes = gateway.processes()
    before = meters.cpu_seconds(processes)
    await asyncio.sleep(seconds)
    used = meters.difference(before, meters.cpu_seconds(processes))
    megabytes = meters.proportional_megabytes(processes)
    gateway.pause()
    return Idle({role: spent * 100 / seconds for role, spent in used.items()}, megabytes)


async def measure(
    gateway: Gateway, requests: Sequence[Request], *, callers: int, seconds: float
) -> Sample:
    """Measure a gateway in the middle of a steady load."""
    gateway.resume()
    crew = Crew(requests)
    calls = asyncio.create_task(crew.run(callers))
    await asyncio.sleep(WARM_UP_SECONDS)
    await _await_calls(crew, CALLS_OF_EACH * callers)
    processes, servers = gateway.processes(), gateway.servers()
    gateways.pin(servers.get("postgres", ()), GATEWAY_CORE)
    cpu, server_cpu = meters.cpu_seconds(processes), meters.cpu_seconds(servers)
    first, failures, began = len(crew.latencies_ms), crew.failures, time.perf_counter()
    await asyncio.sleep(seconds)
    await _await_calls(crew, first + CALLS_OF_EACH * callers)
    measured = crew.latencies_ms[first:]
    took, failures = time.perf_counter() - began, crew.failures - failures
    cpu = meters.difference(cpu, meters.cpu_seconds(processes))
    server_cpu = meters.difference(server_cpu, meters.cpu_seconds(servers))
    crew.stop()
    async with asyncio.timeout(END_SECONDS):
        await calls
    gateway.pause()
    count = max(len(measured), 1)
    return Sample(
        rate=len(measured) / took,
        p50_ms=statistics.median(measured or [float("nan")]),
        failures=failures,
        cpu_ms={role: spent * 1000 / count for role, spent in cpu.items()},
        server_cpu_ms={role: spent * 1000 / count for role, spent in server_cpu.items()},
    )


async def _await_calls(crew: Crew, count: int) -> None:
    """Wait until so many calls have ended, for a limited time."""
    until = time.perf_counter() + LONGEST_SECONDS
    while len(crew.latencies_ms) < count and time.perf_counter() < until:
        await asyncio.sleep(0.05)
