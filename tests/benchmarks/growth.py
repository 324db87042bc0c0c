"""Measure whether a call costs more in a larger installation: `python -m tests.benchmarks.growth`.

Each point is measured in turns with an installation of the smallest size, so that the ratio of both
does not depend on what else the machine does. It prints tables and draws docs/images/growth-*.svg.
"""

import argparse
import asyncio
import statistics
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from pathlib import Path

import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from tests.benchmarks import charts, filling, gateways
from tests.benchmarks.gateways import MODEL, Gateway, bearer
from tests.benchmarks.load import Request
from tests.benchmarks.sampling import (
    GATEWAY_CORE,
    LOAD_CORE,
    measure,
    measure_idle,
    taking_turns,
)
from tests.installation import REPOSITORY

IMAGES = REPOSITORY / "docs/images"
CALLERS = 16  # where the CPU time is measured
FLAT = 1.25  # a ratio up to this counts as flat
OPENING = 50  # streams that are opened at the same time
HELD_MODEL = "bench/held"
BODY = {"messages": [{"role": "user", "content": "Say sixteen words."}]}
ENDPOINTS_OF_A_MODEL = 10

console = Console(width=140)


@dataclass(frozen=True)
class Subject:
    """An installation of some size: the requests to send in turn, and the streams to hold open."""

    gateway: Gateway
    requests: Sequence[Request]
    open_streams: int = 0


Start = Callable[[str, int, bool], AbstractContextManager[Subject]]
"""Start an installation, given the provider's URL, the size, and whether it is at scale."""


@dataclass(frozen=True)
class Dimension:
    """Something of which an installation can have more and more."""

    name: str
    label: str
    sizes: Sequence[int]
    start: Start
    at_scale: bool = False  # it needs PostgreSQL


@dataclass(frozen=True)
class Cost:
    """Medians: with one caller latency and CPU per call, with many CPU per call, CPU without."""

    p50_ms: float
    cpu_alone_ms: float
    cpu_ms: float
    idle_percent: float


@dataclass(frozen=True)
class Growth:
    """The cost at a size, and that of the smallest size at the same time."""

    size: int
    cost: Cost
    smallest: Cost

    @property
    def is_flat(self) -> bool:
        return max(self.p50_ratio, self.cpu_alone_ratio, self.cpu_ratio) <= FLAT

    @property
    def p50_ratio(self) -> float:
        return self.cost.p50_ms / self.smallest.p50_ms

    @property
    def cpu_alone_ratio(self) -> float:
        return self.cost.cpu_alone_ms / self.smallest.cpu_alone_ms

    @property
    def cpu_ratio(self) -> float:
        return self.cost.cpu_ms / self.smallest.cpu_ms


def _request(gateway: Gateway, key: str | None = None) -> Request:
    headers = bearer(key) if key else gateway.headers
    return Request.post(gateway.url, orjson.dumps(BODY | {"model": MODEL}), headers)


@contextmanager
def with_jobs(upstream_url: str, size: int, at_scale: bool) -> Iterator[Subject]:
    """Start an installation whose database has so many ended jobs."""
    with gateways.waybill(upstream_url, at_scale=at_scale) as gateway:
        assert gateway.database is not None
        gateways.call_once(gateway)
        filling.fill_jobs(gateway.database, size)
        yield Subject(gateway, [_request(gateway)])


@contextmanager
def with_endpoints(upstream_url: str, size: int, at_scale: bool) -> Iterator[Subject]:
    """Start an installation whose catalog has so many endpoints, ten for each model."""
    endpoints = ", ".join(
        f'{{ provider = "bench", model = "other-{number}", prompt = "1", completion = "1" }}'
        for number in range(ENDPOINTS_OF_A_MODEL)
    )
    config = "\n".join(
        f'[[models]]\nslug = "other/{number}"\nendpoints = [{endpoints}]'
        for number in range(size // ENDPOINTS_OF_A_MODEL)
    )
    with gateways.waybill(upstream_url, at_scale=at_scale, config=config) as gateway:
        yield Subject(gateway, [_request(gateway)])


@contextmanager
def with_workspaces(upstream_url: str, size: int, at_scale: bool) -> Iterator[Subject]:
    """Start an installation with so many workspaces, which make calls in turn."""
    with gateways.waybill(upstream_url, at_scale=at_scale) as gateway:
        assert gateway.database is not None
        keys = [*filling.fill_workspaces(gateway.database, size)]
        yield Subject(gateway, [_request(gateway, key) for key in keys])


@contextmanager
def with_open_streams(upstream_url: str, size: int, at_scale: bool) -> Iterator[Subject]:
    """Start an installation in which so many streams are to be held open."""
    with gateways.waybill(upstream_url, at_scale=at_scale) as gateway:
        yield Subject(gateway, [_request(gateway)], size)


@contextmanager
def with_workers(upstream_url: str, size: int, at_scale: bool) -> Iterator[Subject]:
    """Start an installation with so many worker processes."""
    with gateways.waybill(upstream_url, at_scale=at_scale, workers=size) as gateway:
        yield Subject(gateway, [_request(gateway)])


DIMENSIONS = (
    Dimension("jobs", "jobs in the database", (10**3, 10**4, 10**5, 10**6), with_jobs),
    Dimension("endpoints", "endpoints in the catalog", (10, 100, 1_000, 5_000), with_endpoints),
    Dimension("workspaces", "workspaces that make calls", (1, 10, 100, 1_000), with_workspaces),
    Dimension("streams", "open streams", (1, 10, 100, 1_000), with_open_streams),
    Dimension("workers", "workers, on PostgreSQL", (1, 2, 4), with_workers, at_scale=True),
)


def main() -> None:
    arguments = _arguments()
    uvloop.install()
    for dimension in DIMENSIONS:
        if arguments.only and dimension.name not in arguments.only:
            continue
        found = measure_dimension(dimension, arguments)
        console.print(table(dimension, found))
        path = arguments.images / f"growth-{dimension.name}.svg"
        path.write_text(draw(dimension, found))
        console.print(f"drawn: {path}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.growth", description=__doc__)
    names = [each.name for each in DIMENSIONS]
    parser.add_argument("--only", choices=names, action="append", help="only this dimension")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="rounds; default 3")
    parser.add_argument("--seconds", type=float, default=3, metavar="S", help="of each; default 3")
    parser.add_argument("--stack", choices=("sqlite", "scale"), default="sqlite")
    parser.add_argument("--most", type=int, default=10**6, metavar="SIZE", help="the largest size")
    parser.add_argument("--images", type=Path, default=IMAGES, metavar="PATH")
    return parser.parse_args()


def measure_dimension(dimension: Dimension, arguments: argparse.Namespace) -> list[Growth]:
    """Measure each size of a dimension beside the smallest one."""
    at_scale = dimension.at_scale or arguments.stack == "scale"
    found = []
    with ExitStack() as closing:
        with gateways.on_core(LOAD_CORE):
            url = closing.enter_context(gateways.upstream())
        with gateways.on_core(GATEWAY_CORE):
            smallest = closing.enter_context(dimension.start(url, dimension.sizes[0], at_scale))
        for size in dimension.sizes:
            if size > arguments.most:
                continue
            with ExitStack() as ending:
                with gateways.on_core(GATEWAY_CORE):
                    subject = ending.enter_context(dimension.start(url, size, at_scale))
                with gateways.on_core(LOAD_CORE):
                    work = compare(subject, smallest, arguments.repeat, arguments.seconds)
                    cost, cost_of_smallest = asyncio.run(work)
            found.append(Growth(size, cost, cost_of_smallest))
            console.print(f"{dimension.name} {size:,}: {cost}; smallest: {cost_of_smallest}")
    return found


async def compare(
    subject: Subject, smallest: Subject, repeat: int, seconds: float
) -> tuple[Cost, Cost]:
    """Measure two installations in turns."""
    both = (subject, smallest)
    async with AsyncExitStack() as closing:
        for each in both:
            await closing.enter_async_context(holding_streams(each))
        for each in both:  # the first calls open connections and fill caches
            await measure(each.gateway, each.requests, callers=CALLERS, seconds=seconds)
        closing.enter_context(taking_turns([each.gateway for each in both]))
        rounds = [[await _measure_cost(each, seconds) for each in both] for _ in range(repeat)]
    first, second = (_median([costs[place] for costs in rounds]) for place in (0, 1))
    return first, second


async def _measure_cost(subject: Subject, seconds: float) -> Cost:
    gateway, requests = subject.gateway, subject.requests
    idle = await measure_idle(gateway, seconds)
    alone = await measure(gateway, requests, callers=1, seconds=seconds)
    busy = await measure(gateway, requests, callers=CALLERS, seconds=seconds)
    assert alone.failures + busy.failures == 0, (alone, busy)
    return Cost(
        alone.p50_ms,
        sum(alone.cpu_ms.values()),
        sum(busy.cpu_ms.values()),
        sum(idle.cpu_percent.values()),
    )


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(
        statistics.median(each.p50_ms for each in costs),
        statistics.median(each.cpu_alone_ms for each in costs),
        statistics.median(each.cpu_ms for each in costs),
        statistics.median(each.idle_percent for each in costs),
    )


@asynccontextmanager
async def holding_streams(subject: Subject) -> AsyncIterator[None]:
    """Hold a subject's streams open: each has its first chunk, and the provider sends no more."""
    gateway = subject.gateway
    body = orjson.dumps(BODY | {"model": HELD_MODEL, "stream": True})
    request = Request.post(gateway.url, body, gateway.headers)
    limit = asyncio.Semaphore(OPENING)
    writers: list[asyncio.StreamWriter] = []

    async def open_stream() -> None:
        async with limit:
            reader, writer = await asyncio.open_connection(request.host, request.port)
            writers.append(writer)
            writer.write(request.data)
            await reader.readuntil(b'"content":"word0 "')

    async with asyncio.TaskGroup() as group:
        for _ in range(subject.open_streams):
            group.create_task(open_stream())
    try:
        yield
    finally:
        for writer in writers:
            writer.close()


def table(dimension: Dimension, found: Sequence[Growth]) -> Table:
    """Return the costs at each size, each with its ratio to the smallest one's."""
    result = Table(
        dimension.label, "p50 ms, 1 caller", "ratio", "CPU ms per call, 1 caller", "ratio",
        f"{CALLERS} callers", "ratio", "idle, % of a core", "smallest", "flat",
    )  # fmt: skip
    for each in found:
        result.add_row(
            f"{each.size:,}",
            f"{each.cost.p50_ms:.1f}",
            f"{each.p50_ratio:.2f}",
            f"{each.cost.cpu_alone_ms:.2f}",
            f"{each.cpu_alone_ratio:.2f}",
            f"{each.cost.cpu_ms:.2f}",
            f"{each.cpu_ratio:.2f}",
            f"{each.cost.idle_percent:.1f}",
            f"{each.smallest.idle_percent:.1f}",
            "yes" if each.is_flat else "no",
        )
    return result


def draw(dimension: Dimension, found: Sequence[Growth]) -> str:
    """Return the costs as a chart, each beside that of the smallest installation."""

    def panel(title: str, value: Callable[[Cost], float]) -> charts.Panel:
        own = [charts.Point(each.size, value(each.cost)) for each in found]
        smallest = [charts.Point(each.size, value(each.smallest)) for each in found]
        name = f"with {dimension.sizes[0]:,}, at the same time"
        lines = [charts.Line("measured", own), charts.Line(name, smallest)]
        return charts.Panel(title, dimension.label, lines)

    return charts.draw(
        [
            panel("p50 of a call, ms (1 caller)", lambda cost: cost.p50_ms),
            panel("CPU ms per call (1 caller)", lambda cost: cost.cpu_alone_ms),
            panel(f"CPU ms per call ({CALLERS} callers)", lambda cost: cost.cpu_ms),
        ]
    )


if __name__ == "__main__":
    main()
