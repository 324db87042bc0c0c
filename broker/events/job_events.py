"""A job's numbered event log: written by its worker, read by whoever waits or streams.

Events of one job are numbered 1, 2, 3 … through all its attempts. An attempt whose predecessor did
not tell its end (its worker was lost, or Redis lost the log) begins at `first_number` with
`retrying`: the two can never write the same number, and a reader may follow across that gap.

On the wire (pub/sub, Redis Stream, and the copy kept in the database) an event is one line,
`number type json`. Several events may travel together, so a busy log costs one command, not one a
chunk.

    started      {"attempt", "provider", "model", "queued_ms"}
    chunk        a chunk of the answer, ready for the caller
    usage        the last chunk: it has the usage, and readers see it under the name `chunk`
    retrying     {"attempt", "outcome", "error_type", "message", "provider", "delay_seconds"}
    completed | failed | cancelled | expired | needs_review
                 {"job_id", "status", "generation_id", "queued_ms" | "error", "response"}

Only streamed jobs keep a Redis Stream while they run: what other jobs have to tell is in the
database, and `reports.past_events` numbers it the same way.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

CHUNK = "chunk"
USAGE = "usage"
STARTED = "started"
RETRYING = "retrying"
ENDS = frozenset({"completed", "failed", "cancelled", "expired", "needs_review"})
_FOR_GOOD = ENDS - {"needs_review"}  # what is reviewed may be tried again
ATTEMPT_STEP = 10_000_000  # more events than one attempt has
PAGE_BYTES = 64 * 1024
"""About how much of a log is handled at once."""

KEPT_PAGES = 64
"""Pages of a running stream that Redis keeps; the database gets all of it at the end."""

GATHERED_BYTES = 64 * 1024 * 1024
"""The most that waits to be sent to a Redis that is slow; more is dropped."""

_ENTRIES_AT_ONCE = 32
ENDED_TTL_SECONDS = 60  # of a log whose job has ended: the database has it then
_PREFIX = "waybill:job:"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Event:
    """One numbered item of a job's log."""

    number: int
    type: str
    data: bytes  # JSON on one line

    @property
    def public_type(self) -> str:
        """The name under which a reader of the log sees this event."""
        return CHUNK if self.type == USAGE else self.type

    @property
    def is_chunk(self) -> bool:
        """True for a part of the answer, the last one with the usage included."""
        return self.type in (CHUNK, USAGE)

    @property
    def is_end(self) -> bool:
        """True for the event after which nothing more happens by itself."""
        return self.type in ENDS


def encode(events: Iterable[Event]) -> bytes:
    return b"\n".join([b"%d %s %s" % (e.number, e.type.encode(), e.data) for e in events])


def decode(lines: bytes) -> list[Event]:
    events = []
    for line in lines.split(b"\n"):
        number, type_, data = line.split(b" ", 2)
        events.append(Event(int(number), type_.decode(), data))
    return events


def first_number(attempt: int) -> int:
    """Return the first number of an attempt that does not continue its predecessor's numbers."""
    return (attempt - 1) * ATTEMPT_STEP + 1


def unbroken(log: Iterable[Event], after: int) -> list[Event]:
    """Return the events above `after` up to the first gap.

    A gap before `retrying` is none: that event begins a new attempt, which makes what a reader
    missed of the attempt before worthless.
    """
    whole: list[Event] = []
    for event in log:
        if event.number <= after:
            continue
        if event.number != after + 1 and event.type != RETRYING:
            break
        whole.append(event)
        after = event.number
    return whole


def rest(log: Iterable[Event], after: int) -> list[Event]:
    """Return the events above `after` of a log that has its end.

    Where the log lost some of an attempt that was given up, the rest of that attempt is left out.
    """
    above = [event for event in log if event.number > after]
    if above == unbroken(above, after):
        return above
    return [*itertools.dropwhile(lambda event: event.type != RETRYING, above)] or above


def channel(job_id: str) -> str:
    return _PREFIX + job_id


def job_of(channel_name: str) -> str:
    return channel_name.removeprefix(_PREFIX)


def stream_key(job_id: str) -> str:
    return f"waybill:events:{job_id}"


def fence_key(job_id: str) -> str:
    """Return the Redis key with the number of the attempt that may write a job's log."""
    return f"waybill:fence:{job_id}"


async def kept(redis: Redis, job_id: str, after: int = 0) -> AsyncIterator[list[Event]]:
    """Yield the events that Redis keeps of a streamed job above `after`, some at a time."""
    while True:
        # an entry is numbered by its last event, so the first may begin at or below `after`
        entries: Any = await redis.xrange(
            stream_key(job_id), min=f"({after}-0", count=_ENTRIES_AT_ONCE
        )
        told = [event for _, fields in entries for event in decode(fields[b"e"])]
        page = [event for event in told if event.number > after]
        if not page:
            return
        after = page[-1].number
        yield page


KEEP_AND_TELL = """
if tonumber(ARGV[1]) < tonumber(redis.call('GET', KEYS[2]) or '0') then return 0 end
redis.call('XADD', KEYS[1], ARGV[2], 'e', ARGV[3])
redis.call('XTRIM', KEYS[1], 'MINID', ARGV[6])
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('PUBLISH', ARGV[5], ARGV[3])
return 1
"""
"""Keep events and tell them, unless a later attempt has taken the log over."""


async def take_over(
    redis: Redis, job_id: str, attempt: int, *, ttl_seconds: int
) -> AsyncIterator[list[Event]]:
    """Shut earlier attempts out of a streamed job's log, and yield what they told.

    A worker that was thought dead may still be streaming: from now on nobody hears it.
    """
    await redis.set(fence_key(job_id), attempt, ex=ttl_seconds)
    async for told in kept(redis, job_id):
        yield told


class EventWriter:
    """The worker's side: collects events and sends what has gathered in one round trip.

    While a round trip is under way new events gather, so a burst of chunks is coalesced instead of
    falling behind. Losing one is survivable: readers fall back on the database.
    """

    def __init__(self, redis: Redis, *, ttl_seconds: int) -> None:
        self._redis = redis
        self._ttl = ttl_seconds
        self._gathered: dict[str, list[Event]] = {}
        self._size = 0  # of what has gathered, in bytes
        self._forgettable: dict[str, int] = {}  # numbers below which a log is not kept, by job id
        self._facts: dict[str, tuple[str, int]] = {}  # value and seconds to live, by key
        self._attempts: dict[str, int] = {}  # of gathered logs that are kept, by job id
        self._something = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run())

    def emit(
        self,
        job_id: str,
        events: Sequence[Event],
        *,
        attempt: int | None,
        forget_below: int = 0,
    ) -> None:
        """Send events soon, in order; those of a streamed job's `attempt` are also kept.

        Its events with numbers under `forget_below` need not be kept any longer.
        """
        size = sum(len(event.data) for event in events)
        if self._size + size > GATHERED_BYTES and not events[-1].is_end:
            return
        self._size += size
        self._gathered.setdefault(job_id, []).extend(events)
        if attempt is not None:
            self._attempts[job_id] = attempt
            self._forgettable[job_id] = forget_below
        self._something.set()

    def remember(self, key: str, value: str, *, seconds: int) -> None:
        """Set a key for a while, together with the next events that are sent."""
        self._facts[key] = (value, seconds)

    async def close(self) -> None:
        """Send what has gathered and stop."""
        self._closing = True
        self._something.set()
        await self._task

    async def _run(self) -> None:
        while not self._closing:
            await self._something.wait()
            await self._flush()
        await self._flush()

    async def _flush(self) -> None:
        self._something.clear()
        gathered, self._gathered = self._gathered, {}
        attempts, self._attempts = self._attempts, {}
        forgettable, self._forgettable = self._forgettable, {}
        self._size = 0
        if not gathered:
            return
        pipeline = self._redis.pipeline(transaction=False)
        facts, self._facts = self._facts, {}
        for key, (value, seconds) in facts.items():
            pipeline.set(key, value, ex=seconds)
        for job_id, events in gathered.items():
            keys = (stream_key(job_id), fence_key(job_id))
            for entry in _entries(events):
                lines, last = encode(entry), entry[-1]
                if job_id not in attempts:
                    pipeline.publish(channel(job_id), lines)
                    continue
                ttl = min(self._ttl, ENDED_TTL_SECONDS) if last.is_end else self._ttl
                # the database has the log of an ended job: the end alone is left here
                first = last.number if last.type in _FOR_GOOD else forgettable[job_id]
                number = f"{last.number}-0"
                arguments = (attempts[job_id], number, lines, ttl, channel(job_id), f"{first}-0")
                pipeline.eval(KEEP_AND_TELL, len(keys), *keys, *arguments)
        try:
            results = await pipeline.execute(raise_on_error=False)
        except RedisError as error:
            log.warning("events.not_sent", jobs=len(gathered), error=str(error))
            return
        for result in results:
            if isinstance(result, ResponseError):
                log.info("events.refused", error=str(result))


def _entries(told: Iterable[Event]) -> Iterator[list[Event]]:
    """Yield events in lists of about a page each."""
    entry: list[Event] = []
    size = 0
    for event in told:
        entry.append(event)
        size += len(event.data)
        if size >= PAGE_BYTES:
            yield entry
            entry, size = [], 0
    if entry:
        yield entry
