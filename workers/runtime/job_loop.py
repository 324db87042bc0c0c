"""The worker's asyncio loop: receives messages, runs their jobs and deliveries, renews leases.

Everything happens on one loop in a thread of its own. Celery's main thread starts and stops it, and
reports what it does (`TaskLog`).
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import structlog
import uvloop
from redis.exceptions import RedisError

from broker.background import Service, end_tasks, stop_services
from broker.clock import now_ms
from broker.events import signals
from broker.lifecycle import renew
from broker.providers.pacing import Busy, Permit
from broker.queues import DELIVERIES_QUEUE, Lane, queue_names, split_queue_name
from broker.settings import Settings
from broker.transport import Message, open_receiver
from workers.attempt.execution import JobRunner
from workers.attempt.pacing import EXCHANGE_SECONDS
from workers.attempt.results import JobResult
from workers.attempt.retry_until_stored import OUT_OF_SERVICE
from workers.attempt.running_attempts import RunningAttempts
from workers.context import WorkerContext, open_context
from workers.runtime.composition import (
    build_deliverer,
    build_job_runner,
    build_services,
    build_shared_parts,
)
from workers.runtime.receiving import ReceiveLoop
from workers.runtime.task_log import Results, TaskLog
from workers.services.webhook_delivery import MOST_LANES, Deliverer

LISTEN_AGAIN_SECONDS = 1.0

log = structlog.get_logger()


class Runtime:
    """One worker process's loop and everything on it."""

    def __init__(
        self,
        settings: Settings,
        *,
        dispatch: bool = True,
    ) -> None:
        self._settings = settings
        self._dispatch = dispatch
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loop", daemon=True)
        self._context: WorkerContext
        self._runner: JobRunner
        self._attempts: RunningAttempts
        self._deliverer: Deliverer
        self._services: list[Service] = []
        self._receiving: list[ReceiveLoop] = []
        self._cancelled_queues: set[str] = set()
        self._interruption: asyncio.Task[None] | None = None
        self._draining = False
        self.tasks = TaskLog()

    def start(self) -> None:
        """Connect, report this worker as alive, and begin to receive messages."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    def queues(self) -> list[str]:
        """Return the queues that this process receives from now."""
        return [*self._job_queues(), *self._delivery_queues()]

    def cancel_queue(self, name: str) -> None:
        """Receive no more from a queue, until it is added again."""
        self._cancelled_queues.add(name)

    def add_queue(self, name: str) -> None:
        """Receive from a queue that was cancelled."""
        self._cancelled_queues.discard(name)

    def drain(self) -> None:
        """Begin to shut down: take nothing new, let what runs finish for a while.

        The second call ends the waiting.
        """
        self._loop.call_soon_threadsafe(self._begin_drain)

    def stop(self) -> None:
        """Finish shutting down, after the work of the last message has ended."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    # --- on the loop -----------------------------------------------------------------------------

    async def _start(self) -> None:
        settings = self._settings
        self._context = open_context(settings)
        shared = build_shared_parts(self._context)
        self._runner = build_job_runner(self._context, shared)
        self._attempts = self._runner.attempts
        self._deliverer = build_deliverer(self._context)
        self._context.recorder.start()
        self._context.recorder.run_after_flush(self._runner.outcomes.reset_changed_credentials)
        await self._context.start()
        self._services = [
            Service("heartbeat", settings.heartbeat_seconds, self._beat),
            Service("cancellations", LISTEN_AGAIN_SECONDS, self._listen),
            Service("pauses", EXCHANGE_SECONDS, shared.pacing.share_pauses),
        ]
        if self._dispatch:
            self._services += build_services(self._context, shared)
        for service in self._services:
            service.start()
        self._receiving = [
            self._create_loop(self._job_queues, self._run_jobs, settings.worker_concurrency),
            self._create_loop(self._delivery_queues, self._send_deliveries, MOST_LANES),
        ]
        for loop in self._receiving:
            loop.start()

    def _create_loop(
        self,
        queues: Callable[[], Sequence[str]],
        handle: Callable[[Message], Awaitable[Results]],
        capacity: int,
    ) -> ReceiveLoop:
        receiver = open_receiver(self._settings.transport)
        return ReceiveLoop(receiver, queues, handle, capacity=capacity, tasks=self.tasks)

    def _job_queues(self) -> list[str]:
        names = queue_names(tuple(self._context.routes), self._settings.worker_lane)
        return [name for name in names if name not in self._cancelled_queues]

    def _delivery_queues(self) -> list[str]:
        return [] if DELIVERIES_QUEUE in self._cancelled_queues else [DELIVERIES_QUEUE]

    async def _send_deliveries(self, message: Message) -> Results:
        await self._deliverer.send(message.ids)
        return Counter(sent=len(message.ids))

    async def _run_jobs(self, message: Message) -> Results:
        """Run the jobs of a message; return when each was recorded or refused."""
        provider, lane = split_queue_name(message.queue)
        job_ids = message.ids
        if provider not in self._context.routes:  # this worker does not know it: another may
            return Counter({JobResult.RETURNED: len(job_ids)})
        results = await asyncio.gather(
            *(self._run_one(provider, lane, job_id) for job_id in job_ids)
        )
        returned = [
            job_id
            for job_id, result in zip(job_ids, results, strict=True)
            if result is JobResult.RETURNED
        ]
        if returned:
            self._context.publisher.publish(provider, lane, returned)
        return Counter(results)

    async def _run_one(self, provider: str, lane: Lane, job_id: str) -> JobResult:
        """Run a job if its provider has room now, and this process still takes jobs."""
        context = self._context
        if self._draining:
            return JobResult.RETURNED
        paused = context.pauses.find_busy(now_ms()).get(provider)
        permit = paused or await context.pacer.acquire(provider, lane)
        try:
            if isinstance(permit, Busy):
                await self._runner.pacing.defer(lane, job_id, permit)
                return JobResult.WAITING
            if self._draining:
                return JobResult.RETURNED
            return await self._runner.run(permit, job_id)
        except OUT_OF_SERVICE as error:
            # the job waits, or is rescued when its lease ends
            log.warning("job.postponed", error=str(error))
            return JobResult.LOST
        except Exception:  # the attempt stays open and is rescued when its lease ends
            log.exception("job.crashed", job=job_id)
            return JobResult.LOST
        finally:
            if isinstance(permit, Permit):
                context.pacer.release(permit)

    async def _beat(self) -> None:
        """Report this worker as alive, and renew the leases of its jobs."""
        context = self._context
        expires = now_ms() + int(self._settings.lease_seconds * 1000)
        await signals.report_alive(context.redis, context.worker_id, time.time())
        renewal = await context.database.write(
            renew, context.worker_id, expires, self._attempts.leases()
        )
        for job_id in renewal.cancelled:
            self._attempts.cancel(job_id, awaits_usage=True)
        for job_id in renewal.lost:
            self._attempts.stop_lost(job_id)

    async def _listen(self) -> None:
        """Stop jobs when their callers cancel them. Returns only when the subscription ends."""
        async with self._context.redis.pubsub() as pubsub:
            await pubsub.subscribe(signals.CANCELLATION_CHANNEL)
            async for message in pubsub.listen():
                if message["type"] == "message":
                    job_id, awaits_usage = signals.read_cancellation(message["data"])
                    self._attempts.cancel(job_id, awaits_usage=awaits_usage)

    def _begin_drain(self) -> None:
        running = len(self._attempts.calls())
        if self._draining:
            log.info("worker.interrupting", running=running)
            self._attempts.interrupt(streams=True)
            return
        self._draining = True
        for loop in self._receiving:
            loop.drain()
        self._deliverer.drain()
        log.info("worker.draining", running=running)
        self._interruption = self._loop.create_task(self._interrupt_late(), name="interrupt")

    async def _interrupt_late(self) -> None:
        """Stop the calls that do not end in time. A stream that has begun has more time.

        Its provider bills it to the end, and its reader would get an error.
        """
        settings = self._settings
        await self._attempts.wait(settings.soft_shutdown_seconds)
        self._attempts.interrupt(streams=False)
        longer = max(settings.stream_drain_seconds - settings.soft_shutdown_seconds, 0)
        await self._attempts.wait(longer)
        self._attempts.interrupt(streams=True)

    async def _stop(self) -> None:
        # deliveries that wait for a lane end when the deliverer stops the lanes
        await asyncio.gather(*(loop.close() for loop in self._receiving), self._deliverer.aclose())
        await stop_services(self._services)
        if self._interruption is not None:
            await end_tasks([self._interruption])
        context = self._context
        try:
            await signals.report_gone(context.redis, context.worker_id)
        except (RedisError, OSError) as error:
            log.info("worker.end_not_reported", error=str(error))
        await context.close()
