"""Subscriptions to the events of jobs that callers wait for, backed by the database."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator

import orjson
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from broker.background import Service, end_tasks, stop_services
from broker.events import job_events
from broker.events.job_events import Event
from broker.events.stored_logs import StoredLog
from broker.jobs import reports
from broker.jobs.reports import JobReport
from broker.storage.database import Database

CHECK_SECONDS = 2.0
UNSUBSCRIBE_SECONDS = 0.5
RECONNECT_SECONDS = 0.2
INBOX_BYTES = 256 * 1024
_CONSTANT_CHANNEL = "waybill:api"  # keeps the connection subscribed while there is no reader


class Listener:
    """The inbox of one reader: lists of events, or None, after which it reads the database."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self._inbox: asyncio.Queue[tuple[list[Event] | None, int]] = asyncio.Queue()
        self._size = 0  # bytes
        self._must_check = False  # None is in the inbox
        self.holders = 0

    def receive(self, events: list[Event], size: int) -> None:
        """Add events. A slow reader reads those that do not fit from the database."""
        if self._size + size > INBOX_BYTES and not self._inbox.empty():
            while not self._inbox.empty():
                self._inbox.get_nowait()
            self._size, self._must_check = 0, False
            self.check_database()
            return
        self._size += size
        self._inbox.put_nowait((events, size))

    def check_database(self) -> None:
        """Make the reader read the database."""
        if not self._must_check:
            self._must_check = True
            self._inbox.put_nowait((None, 0))

    async def next(self) -> list[Event] | None:
        """Return the next events, or None: the reader must read the database."""
        events, size = await self._inbox.get()
        self._size -= size
        self._must_check = self._must_check and events is not None
        return events


class JobSubscriptions:
    """Passes the events of jobs to their listeners in this process."""

    def __init__(self, redis: Redis, database: Database) -> None:
        self._redis = redis
        self._database = database
        self._pubsub: PubSub | None = None  # while it is connected
        self._listeners: dict[str, list[Listener]] = {}
        self._followers: dict[str, list[str]] = {}  # jobs that end with another one's end
        self._added: list[str] = []  # channels to subscribe to, gathered within a loop turn
        self._unused: set[str] = set()  # jobs without a listener
        self._tasks: set[asyncio.Task[None]] = set()
        self._services = (
            Service("job-events", RECONNECT_SECONDS, self._receive),
            Service("ended-jobs", CHECK_SECONDS, self._find_ended),
            Service("unsubscriptions", UNSUBSCRIBE_SECONDS, self._unsubscribe),
        )

    def start(self) -> None:
        for service in self._services:
            service.start()

    async def close(self) -> None:
        await stop_services(self._services)
        await end_tasks(self._tasks)

    @contextlib.contextmanager
    def listen(self, job_id: str) -> Iterator[Listener]:
        """Receive the events of a job from now on; read its state once after entering."""
        listener = Listener(job_id)
        self._listeners.setdefault(job_id, []).append(listener)
        self._unused.discard(job_id)
        self._subscribe_soon(job_events.channel_of(job_id))
        with self._hold(listener):
            yield listener

    @contextlib.contextmanager
    def _hold(self, listener: Listener) -> Iterator[Listener]:
        """Keep a listener until its last holder has left."""
        listener.holders += 1
        try:
            yield listener
        finally:
            listener.holders -= 1
            if not listener.holders:
                self._remove(listener)

    def _remove(self, listener: Listener) -> None:
        job_id = listener.job_id
        listeners = self._listeners[job_id]
        listeners.remove(listener)
        if not listeners:
            del self._listeners[job_id]
            self._unused.add(job_id)

    @contextlib.contextmanager
    def following(self, job_id: str, leader: str | None) -> Iterator[None]:
        """Wake the listeners of a job when the primary that it follows has ended."""
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
        """Return the job's last event, once there is one.

        `fresh`: the job was submitted while the listener listened, so that it missed nothing.
        """
        if not fresh:
            listener.check_database()
        while True:
            events = await listener.next()
            if events is not None and events[-1].is_end:
                return events[-1]
            if events is None:
                report = await self._database.read(reports.job, workspace_id, listener.job_id)
                if report is not None and report.job.state in job_events.ENDS:
                    return _end(report, reports.END_OF_LOST_LOG)

    async def follow_job(
        self,
        job_id: str,
        workspace_id: str,
        *,
        after: int = 0,
        latest: bool = False,
        listener: Listener | None = None,
    ) -> AsyncGenerator[list[Event]]:
        """Listen to a job, and yield its events as `follow` does.

        `listener` has listened since before the job was submitted: then nothing is read before the
        first event.
        """
        follow = self.follow if listener is None else self._follow
        with self._hold(listener) if listener else self.listen(job_id) as held:
            async for events in follow(held, workspace_id, after=after, latest=latest):
                yield events

    def follow(
        self, listener: Listener, workspace_id: str, *, after: int = 0, latest: bool = False
    ) -> AsyncIterator[list[Event]]:
        """Yield the job's events above `after`, in order, none missing, none twice, to the end.

        A reader that has seen the end gets nothing more. `latest` leaves out attempts that failed
        before.
        """
        listener.check_database()
        return self._follow(listener, workspace_id, after=after, latest=latest)

    async def _follow(
        self, listener: Listener, workspace_id: str, *, after: int, latest: bool
    ) -> AsyncIterator[list[Event]]:
        last = after
        while True:
            received = await listener.next()
            if received is not None and received[-1].number <= last:
                continue
            events = job_events.find_unbroken(received or (), last)
            if events:
                last = events[-1].number
                yield events
                if events[-1].is_end:
                    return
                continue
            report = await self._database.read(reports.job, workspace_id, listener.job_id)
            if report is None:
                continue
            if report.job.state in job_events.ENDS:
                async for events in self._to_the_end(report, last, seen=after, latest=latest):
                    yield events
                return
            async for events in self._so_far(report, last, latest=latest):
                last = events[-1].number
                yield events
            if events and events[-1].is_end:  # it ended while its state was read
                return

    async def _to_the_end(
        self, report: JobReport, last: int, *, seen: int, latest: bool
    ) -> AsyncIterator[list[Event]]:
        """Yield the events of an ended job above `last`; none if the reader has seen all."""
        if latest and last == 0 and report.payload.has_log:
            last = await self._database.read(StoredLog(report.job.id).latest_start)
        log = reports.open_log(report, last)
        events: list[Event] = []
        while page := await self._database.read(log.page):
            events = page
            last = events[-1].number
            yield events
        is_whole = bool(events) and events[-1].is_end
        if not is_whole and (events or last != seen):
            # another process than its worker ended it: the worker's chunks are not stored
            yield [_end(report, last + 1)]

    async def _so_far(
        self, report: JobReport, last: int, *, latest: bool
    ) -> AsyncIterator[list[Event]]:
        """Yield the known events above `last`, without a gap, of a job that has not ended."""
        if not report.job.stream:
            if events := job_events.find_rest(reports.past_events(report), last):
                yield events
            return
        job_id = report.job.id
        with contextlib.suppress(RedisError, OSError):
            if latest and last == 0:
                async for events in job_events.read_kept(self._redis, job_id):
                    starts = [
                        each.number - 1 for each in events if each.type == job_events.RETRYING
                    ]
                    last = max([last, *starts])
            async for page in job_events.read_kept(self._redis, job_id, last):
                if events := job_events.find_unbroken(page, last):
                    last = events[-1].number
                    yield events
                if len(events) < len(page):
                    # Redis lost events: they are read from the database at the end
                    return

    def _subscribe_soon(self, channel: str) -> None:
        if not self._added:
            task = asyncio.create_task(self._subscribe())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._added.append(channel)

    async def _subscribe(self) -> None:
        added, self._added = self._added, []
        if self._pubsub is None:  # connecting subscribes to the channels of all listeners
            return
        with contextlib.suppress(RedisError, OSError):  # the next connection subscribes
            await self._pubsub.subscribe(*added)

    async def _unsubscribe(self) -> None:
        """Unsubscribe from the channels of jobs without a listener."""
        unused, self._unused = self._unused, set()
        channels = [job_events.channel_of(job_id) for job_id in unused]
        if channels and self._pubsub is not None:
            with contextlib.suppress(RedisError, OSError):  # a new connection has none of them
                await self._pubsub.unsubscribe(*channels)

    async def _receive(self) -> None:
        """Read a new pub/sub connection until it is lost."""
        pubsub = _without_retries(self._redis).pubsub()
        try:
            await self._read(pubsub)
        finally:
            self._pubsub = None
            await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _read(self, pubsub: PubSub) -> None:
        """Connect, subscribe to the channels of all listeners, and deliver what arrives."""
        await pubsub.subscribe(_CONSTANT_CHANNEL)
        self._pubsub = pubsub
        if self._listeners:
            await pubsub.subscribe(*map(job_events.channel_of, self._listeners))
            self._wake(list(self._listeners))  # events until now were missed
        async for message in pubsub.listen():
            if message["type"] == "message":
                self._deliver(job_events.find_job_id(message["channel"].decode()), message["data"])

    def _deliver(self, job_id: str, lines: bytes) -> None:
        listeners = self._listeners.get(job_id)
        if listeners and lines:
            events = job_events.decode(lines)
            for listener in listeners:
                listener.receive(events, len(lines))
            if events[-1].is_end:
                self._wake(self._followers.get(job_id, ()))

    def _wake(self, job_ids: Iterable[str]) -> None:
        """Make the listeners of these jobs read the database."""
        for job_id in job_ids:
            for listener in self._listeners.get(job_id, ()):
                listener.check_database()

    async def _find_ended(self) -> None:
        """Wake the listeners of jobs that have ended, because the message may have been lost."""
        if self._listeners:
            self._wake(await self._database.read(reports.settled, list(self._listeners)))


def _without_retries(redis: Redis) -> Redis:
    """Return a client whose lost connections stay lost.

    By default redis-py reconnects within the command that failed, while another task may use the
    same connection.
    """
    pool = redis.connection_pool
    details = pool.connection_kwargs | {"retry": Retry(NoBackoff(), 0)}
    return Redis(connection_pool=ConnectionPool(connection_class=pool.connection_class, **details))


def _end(report: JobReport, number: int) -> Event:
    """Return the last event of an ended job."""
    return Event(number, report.job.state, orjson.dumps(reports.end_event(report)))
