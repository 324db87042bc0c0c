"""Publishes ids on the queues, bundled: everything that is due in one turn of the loop at once.

A message is a hint. It is sent after the commit. When the transport does not answer, the ids are
kept and sent later. When this process dies meanwhile, the dispatcher publishes what nobody
claimed.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence

import structlog

from broker.background import end_tasks
from broker.queues import BUNDLE_SIZE, DELIVERIES_QUEUE, Lane, queue_name
from broker.transport import Message, TransportError, open_sender
from broker.transport.messages import create_message

RETRY_SECONDS = 0.5
CHECK_SECONDS = 5.0
CLOSE_SECONDS = 5.0
KEPT_IDS = 100_000  # of one queue; beyond this the dispatcher has to do it

log = structlog.get_logger()


class Publisher:
    """Announces jobs and deliveries on their queues, on one loop."""

    def __init__(self, transport_url: str) -> None:
        self._sender = open_sender(transport_url)
        self._waiting: dict[str, list[str]] = {}  # ids by queue
        self._has_work = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send. Call it on the running loop."""
        self._task = asyncio.create_task(self._run(), name="publisher")

    def publish(self, provider: str, lane: str, job_ids: Sequence[str]) -> None:
        """Announce jobs on their queue, soon. Never blocks, never fails."""
        self._add(queue_name(provider, Lane(lane)), job_ids)

    def publish_deliveries(self, delivery_ids: Sequence[str]) -> None:
        """Announce webhook deliveries, soon. Never blocks, never fails."""
        self._add(DELIVERIES_QUEUE, delivery_ids)

    async def check(self) -> None:
        """Reach the transport. Raises TransportError or TimeoutError, after a few seconds."""
        async with asyncio.timeout(CHECK_SECONDS):
            await self._sender.check()

    async def close(self) -> None:
        """Send what waits (one try), then stop."""
        self._closing.set()
        self._has_work.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
            await end_tasks([self._task])
        await self._sender.close()

    def _add(self, queue: str, ids: Sequence[str]) -> None:
        if not ids:
            return
        waiting = self._waiting.setdefault(queue, [])
        waiting.extend(ids[: KEPT_IDS - len(waiting)])
        self._has_work.set()

    async def _run(self) -> None:
        while not self._closing.is_set():
            await self._has_work.wait()
            if not await self._send_all():
                await self._pause()
        await self._send_all()

    async def _send_all(self) -> bool:
        """Send what waits; return whether that succeeded. What was not sent waits again."""
        self._has_work.clear()
        taken, self._waiting = self._waiting, {}
        if not taken:
            return True
        try:
            await self._sender.send(list(_bundle(taken)))
        except TransportError as error:
            log.warning("publisher.transport_down", queues=sorted(taken), error=str(error))
        except Exception:
            log.exception("publisher.failed", queues=sorted(taken))
        else:
            return True
        newer, self._waiting = self._waiting, taken
        for queue, ids in newer.items():
            self._add(queue, ids)
        self._has_work.set()
        return False

    async def _pause(self) -> None:
        """Wait before the next try; a closing publisher makes it at once."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS):
                await self._closing.wait()


def _bundle(ids_by_queue: dict[str, list[str]]) -> Iterator[Message]:
    for queue, ids in ids_by_queue.items():
        for start in range(0, len(ids), BUNDLE_SIZE):
            yield create_message(queue, ids[start : start + BUNDLE_SIZE])
