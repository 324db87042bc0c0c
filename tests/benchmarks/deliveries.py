"""10,000 deliveries that are due at once, to one fast receiver: how many a second, at what cost."""

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from types import SimpleNamespace

import uvloop

from broker.accounts import DEFAULT_WORKSPACE
from broker.clock import now_ms
from broker.ids import new_job_id
from broker.storage.database import Database
from broker.webhooks import build_job_event, fan_out
from tests.benchmarks import meters
from tests.installation import Installation, free_ports, until

COUNT = 10_000
WARM_UP = 500
SECONDS = 600
ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


def measured(installation: Installation) -> str:
    """Return what it took, in a line."""
    with receiving() as (url, received):
        made = installation.http.post("/webhooks/endpoints", json={"url": url})
        assert made.status_code == 201, made.text
        _deliver(installation, received, WARM_UP)
        before, began = meters.read(installation), time.perf_counter()
        _deliver(installation, received, COUNT)
        seconds = time.perf_counter() - began
        cpu = meters.cpu_ms_per_call(before, meters.read(installation), COUNT)
        doubled = received.value - COUNT - WARM_UP
    return (
        f"{COUNT:,} deliveries to a fast receiver: {COUNT / seconds:.0f} a second, CPU ms a "
        f"delivery: worker {cpu['worker']:.2f}, valkey {cpu['valkey']:.2f}; received twice: "
        f"{doubled}"
    )


def _deliver(installation: Installation, received: "Synchronized[int]", count: int) -> None:
    """Create so many deliveries at once; return when all of them are on record."""
    goal = received.value + count
    database = Database(installation.database_url)
    now = now_ms()
    jobs = [
        SimpleNamespace(id=new_job_id(), workspace_id=DEFAULT_WORKSPACE, webhook=None)
        for _ in range(count)
    ]
    with database.transaction() as connection:
        fan_out(connection, [build_job_event(job, "completed", now) for job in jobs])
    database.close()
    until(
        lambda: received.value >= goal, SECONDS, lambda: f"{received.value}\n{installation.log()}"
    )
    until(
        lambda: _open(installation) == 0,
        SECONDS,
        lambda: f"{_open(installation)} are not on record",
    )


def _open(installation: Installation) -> int:
    query = "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'running')"
    return int(installation.ask(query)[0][0])


@contextmanager
def receiving() -> Iterator[tuple[str, "Synchronized[int]"]]:
    """Run a receiver in a process of its own; give its address and its count."""
    context = get_context("spawn")
    received: Synchronized[int] = context.Value("i", 0)
    (port,) = free_ports(1)
    process = context.Process(target=_receive, args=(port, received), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{port}/", received
    finally:
        process.terminate()
        process.join()


def _receive(port: int, received: "Synchronized[int]") -> None:
    class Receiver(asyncio.Protocol):
        """Answers every request; a delivery's head and body are small, and end in `}`."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            if data.endswith(b"}"):
                received.value += 1
                self.transport.write(ANSWER)

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", port)
        await server.serve_forever()

    sys.exit(uvloop.run(serve()))
