"""Takes messages from the queues and runs each as a task of the loop, up to a capacity."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from broker.queues import BUNDLE_SIZE
from broker.transport import Message, Receiver, TransportError
from workers.runtime.task_log import Results, TaskLog

RECEIVE_SECONDS = 1.0
"""The longest wait for a message: a new or cancelled queue, or a shutdown, is noticed after it."""

RECONNECT_SECONDS = 0.5
MESSAGES_AT_ONCE = 16  # the rest is left to other workers

log = structlog.get_logger()


class ReceiveLoop:
    """Receives messages while there is room, and runs them.

    Messages are hints, so that they are taken for good at once: a job whose message is lost with
    this process is published again by the dispatcher.
    """

    def __init__(
        self,
        receiver: Receiver,
        queues: Callable[[], Sequence[str]],
        handle: Callable[[Message], Awaitable[Results]],
        *,
        capacity: int,
        tasks: TaskLog,
    ) -> None:
        self._receiver = receiver
        self._queues = queues
        self._handle = handle
        self._free = capacity  # ids that may still be taken; a last message can exceed it
        self._tasks = tasks
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._running: set[asyncio.Task[None]] = set()
        self._draining = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to receive. Call it on the running loop."""
        self._task = asyncio.create_task(self._run(), name="receive")

    def drain(self) -> None:
        """Take nothing new."""
        self._draining = True
        self._has_room.set()

    async def close(self) -> None:
        """Take nothing new, and return when everything that was taken has ended."""
        self.drain()
        if self._task is not None:
            await self._task
        await self._receiver.close()
        while self._running:
            await asyncio.wait(self._running)

    async def _run(self) -> None:
        while not self._draining:
            await self._has_room.wait()
            for message in await self._receive():
                self._begin(message)

    async def _receive(self) -> list[Message]:
        queues = self._queues()
        if self._draining or not queues:
            await asyncio.sleep(0 if self._draining else RECEIVE_SECONDS)
            return []
        limit = max(1, min(MESSAGES_AT_ONCE, self._free // BUNDLE_SIZE))
        try:
            return await self._receiver.receive(queues, limit, RECEIVE_SECONDS)
        except TransportError as error:
            log.warning("worker.transport_lost", error=str(error))
        except Exception:
            log.exception("worker.receive_failed")
        await asyncio.sleep(RECONNECT_SECONDS)
        return []

    def _begin(self, message: Message) -> None:
        self._free -= len(message.ids)
        if self._free <= 0:
            self._has_room.clear()
        task = asyncio.create_task(self._run_message(message))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run_message(self, message: Message) -> None:
        started = time.time()
        self._tasks.start(message, started)
        results: Results | None = None
        try:
            results = await self._handle(message)
        except Exception:  # the dispatcher publishes again what nobody claimed
            log.exception("worker.message_failed", queue=message.queue, ids=message.ids)
        finally:
            self._tasks.end(message, time.time() - started, results)
            self._free += len(message.ids)
            if self._free > 0:
                self._has_room.set()
