"""News of jobs for whoever waits here: live events, backed by the database.

One pub/sub connection serves the process. News is a hint: a listener checks numbers, asks Redis or
the database for what it missed, and is told to look by itself every few seconds.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import replace

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from broker import events, reports
from broker.database import Database
from broker.events import Event
from broker.stopping import stopped

LOOK_SECONDS = 2.0
FORGET_SECONDS = 0.5
_ALWAYS = "waybill:api"  # keeps the connection subscribed when nobody waits

log = structlog.get_logger()


class Listener:
    """One waiter's inbox: lists of events, or None for "look for yourself"."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.inbox: asyncio.Queue[list[Event] | None] = asyncio.Queue()


class News:
    """Hands the events of jobs to their listeners in this process."""

    def __init__(self, redis: Redis, database: Database) -> None:
        self._redis = redis
        self._database = database
        self._pubsub: PubSub = redis.pubsub()
        self._listeners: dict[str, list[Listener]] = {}
        self._followers: dict[str, list[str]] = {}  # jobs that end with another one's end
        self._wanted: list[str] = []  # channels to subscribe to, gathered within a loop turn
        self._unwanted: set[str] = set()  # jobs nobody listens to any more
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        for service in (self._receive(), self._look(), self._forget()):
            self._tasks.add(asyncio.create_task(service))

    async def close(self) -> None:
        await stopped(self._tasks)
        with contextlib.suppress(RedisError, OSError):
            await self._pubsub.aclose()  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def listen(self, job_id: str) -> Iterator[Listener]:
        """Hear of this job from about now on: look at its state once after entering."""
        listener = Listener(job_id)
        self._listeners.setdefault(job_id, []).append(listener)
        self._unwanted.discard(job_id)
        self._want(events.channel(job_id))
        try:
            yield listener
        finally:
            listeners = self._listeners[job_id]
            listeners.remove(listener)
            if not listeners:
                del self._listeners[job_id]
                self._unwanted.add(job_id)

    @contextlib.contextmanager
    def following(self, job_id: str, leader: str | None) -> Iterator[None]:
        """Have the listeners of a job look for themselves once the job it follows has ended."""
        if leader is None:
            yield
            return
        with self.listen(leader):
            self._followers.setdefault(leader, []).append(job_id)
            try:
                yield
            finally:
                self._followers[leader].remove(job_id)
                if not self._followers[leader]:
                    del self._followers[leader]

    async def end(self, listener: Listener, workspace_id: str, *, fresh: bool = False) -> Event:
        """Return the job's last event, once there is one; `fresh` as in `follow`."""
        if not fresh:
            listener.inbox.put_nowait(None)
        while True:
            told = await listener.inbox.get()
            if told is None:
                told, _ = await self._past(workspace_id, listener.job_id, 0)
            if told and told[-1].is_end:
                return told[-1]

    async def follow(
        self, listener: Listener, workspace_id: str, *, after: int = 0, fresh: bool = False
    ) -> AsyncIterator[list[Event]]:
        """Yield the job's events above `after`, in order, none missing, none twice, to the end.

        `fresh` says that the job was submitted after listening began: there is no past to read.
        Whoever has seen the end already is told nothing more.
        """
        last, end = after, None
        if not fresh:
            listener.inbox.put_nowait(None)
        while True:
            heard = await listener.inbox.get()
            if heard is not None and heard[-1].number <= last:
                continue
            told = events.unbroken(heard or (), last)
            if not told:
                told, end = await self._past(workspace_id, listener.job_id, last)
            if not told and end is not None:
                if last == after >= end.number:
                    return
                # ended by other hands than its worker's, whose chunks the database never saw
                told = [replace(end, number=last + 1)]
            if told:
                last = told[-1].number
                yield told
                if told[-1].is_end:
                    return

    async def _past(
        self, workspace_id: str, job_id: str, after: int
    ) -> tuple[list[Event], Event | None]:
        """Return what is known above `after` without a gap, and the last event of an ended job."""
        report = await self._database.read(reports.job, workspace_id, job_id)
        if report is None:
            return [], None
        if not report.job.stream or report.job.state in events.ENDS:
            past = reports.past_events(report)
            end = past[-1] if past and past[-1].is_end else None
            return events.rest(past, after), end
        try:
            past = await events.kept(self._redis, job_id, after)
        except (RedisError, OSError):
            return [], None
        # a gap is left by events that Redis lost: they are read from the database at the end
        return events.unbroken(past, after), None

    def _want(self, channel: str) -> None:
        if not self._wanted:
            task = asyncio.create_task(self._subscribe())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._wanted.append(channel)

    async def _subscribe(self) -> None:
        wanted, self._wanted = self._wanted, []
        with contextlib.suppress(RedisError, OSError):  # reconnecting subscribes to all again
            await self._pubsub.subscribe(*wanted)

    async def _forget(self) -> None:
        """Unsubscribe from time to time, many at once."""
        while True:
            await asyncio.sleep(FORGET_SECONDS)
            unwanted, self._unwanted = self._unwanted, set()
            gone = [events.channel(job_id) for job_id in unwanted]
            if gone:
                with contextlib.suppress(RedisError, OSError):
                    await self._pubsub.unsubscribe(*gone)

    async def _receive(self) -> None:
        """Read the pub/sub connection for as long as the process lives."""
        while True:
            try:
                await self._pubsub.subscribe(_ALWAYS)
                async for message in self._pubsub.listen():
                    if message["type"] == "message":
                        self._deliver(events.job_of(message["channel"].decode()), message["data"])
            except (RedisError, OSError) as error:
                log.info("news.disconnected", error=str(error))
                await asyncio.sleep(0.2)

    def _deliver(self, job_id: str, lines: bytes) -> None:
        listeners = self._listeners.get(job_id)
        if listeners and lines:
            told = events.decode(lines)
            for listener in listeners:
                listener.inbox.put_nowait(told)
            if told[-1].is_end:
                self._wake(self._followers.get(job_id, ()))

    def _wake(self, job_ids: Iterable[str]) -> None:
        """Have the listeners of these jobs look for themselves."""
        for job_id in job_ids:
            for listener in self._listeners.get(job_id, ()):
                listener.inbox.put_nowait(None)

    async def _look(self) -> None:
        """Find jobs whose end was not heard of: the message may have been lost."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            waiting = list(self._listeners)
            if not waiting:
                continue
            try:
                ended = await self._database.read(reports.settled, waiting)
            except Exception as error:  # noqa: BLE001  # the next look is near
                log.warning("news.look_failed", error=str(error))
                continue
            self._wake(ended)
