"""The simulator in a thread of this process, on a free port, for tests."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread

import uvicorn

from workers.simulator.app import configuration
from workers.simulator.counters import Counters


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running simulator."""

    host: str
    port: int
    counters: Counters

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.port}/v1"


@contextmanager
def running(host: str = "127.0.0.1") -> Iterator[Simulator]:
    """Run a simulator on a free port for as long as the block lasts."""
    counters = Counters()
    with socket.create_server((host, 0), backlog=2048) as listener:
        # It listens already, so clients can connect before the thread has started.
        server = uvicorn.Server(configuration(host, 0, counters))
        thread = Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield Simulator(host, listener.getsockname()[1], counters)
        finally:
            server.should_exit = True
            server.force_exit = True  # stalled calls are not waited for
            thread.join()
