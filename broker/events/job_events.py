"""The numbered event log of a job: its worker writes it, and waiting callers read it.

Events of one job are numbered 1, 2, 3 … through all its attempts. An attempt whose predecessor has
no end in the log (its worker was lost, or Redis lost the log) begins at `first_number` with
`retrying`. So two attempts never write the same number, and a reader may continue after that gap.

On the wire (pub/sub, Redis Stream, and the copy kept in the database) an event is one line,
`number type json`. One message may contain several events, so that a busy log needs fewer commands.

    started      {"attempt", "provider", "model", "queued_ms"}
    chunk        a chunk of the answer, ready for the caller
    usage        the last chunk, with the usage; readers see it as `chunk`
    retrying     {"attempt", "outcome", "error_type", "message", "provider", "delay_seconds"}
    completed | failed | cancelled | expired | needs_review
                 {"job_id", "status", "generation_id", "queued_ms" | "error", "response"}

Only streamed jobs have a Redis Stream while they run. The events of other jobs follow from the
database, and `reports.past_events` numbers them the same way.
"""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from broker.values import immutable

CHUNK = "chunk"
USAGE = "usage"
STARTED = "started"
RETRYING = "retrying"
ENDS = frozenset({"completed", "failed", "cancelled", "expired", "needs_review"})
_FINAL_ENDS = ENDS - {"needs_review"}  # a reviewed job may run again
ATTEMPT_STEP = 10_000_000  # more events than one attempt has
PAGE_BYTES = 64 * 1024
"""The approximate size of a page of a log."""

MAX_STREAM_PAGES = 64
"""Pages of a running stream in Redis; at the end the whole log is stored in the database."""

START_SECONDS = 0.05
"""The longest time for which `started` waits for the next event of any job, to be sent with it."""

CHUNK_SECONDS = 0.005
"""The longest time for which a chunk waits for further ones. The first one does not wait."""

MAX_PENDING_BYTES = 64 * 1024 * 1024
"""The limit of events that wait for a slow Redis; further events are dropped."""

_ENTRIES_PER_READ = 32
ENDED_TTL_SECONDS = 60  # of the log of an ended job, which the database also has
_PREFIX = "waybill:job:"

log = structlog.get_logger()


@immutable
class Event:
    """One numbered item of a job's log."""

    number: int
    type: str
    data: bytes  # JSON on one line

    @property
    def public_type(self) -> str:
        """The type that readers of the log see."""
        return CHUNK if self.type == USAGE else self.type

    @property
    def is_chunk(self) -> bool:
        """True for a part of the answer, the last one with the usage included."""
        return self.type in (CHUNK, USAGE)

    @property
    def is_end(self) -> bool:
        """True for the event that ends the job, at least until a review."""
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


def find_unbroken(log: Iterable[Event], after: int) -> list[Event]:
    """Return the events above `after` up to the first gap.

    A gap before `retrying` does not count: a new attempt begins there, which replaces the events
    of the previous attempt.
    """
    found: list[Event] = []
    for event in log:
        if event.number <= after:
            continue
        if event.number != after + 1 and event.type != RETRYING:
            break
        found.append(event)
        after = event.number
    return found


def find_rest(log: Iterable[Event], after: int) -> list[Event]:
    """Return the events above `after` of a log with an end.

    If events of a failed attempt are lost, the rest of that attempt is omitted.
    """
    above = [event for event in log if event.number > after]
    if above == find_unbroken(above, after):
        return above
    return [*itertools.dropwhile(lambda event: event.type != RETRYING, above)] or above


def channel_of(job_id: str) -> str:
    return _PREFIX + job_id


def find_job_id(channel_name: str) -> str:
    return channel_name.removeprefix(_PREFIX)


def stream_key(job_id: str) -> str:
    return f"waybill:events:{job_id}"


def fence_key(job_id: str) -> str:
    """Return the Redis key with the number of the attempt that may write a job's log."""
    return f"waybill:fence:{job_id}"


async def read_kept(redis: Redis, job_id: str, after: int = 0) -> AsyncIterator[list[Event]]:
    """Yield the events of a streamed job in Redis above `after`, in pages."""
    while True:
        # an entry is numbered by its last event, so the first may begin at or below `after`
        entries: Any = await redis.xrange(
            stream_key(job_id), min=f"({after}-0", count=_ENTRIES_PER_READ
        )
        events = [event for _, fields in entries for event in decode(fields[b"e"])]
        page = [event for event in events if event.number > after]
        if not page:
            return
        after = page[-1].number
        yield page


SEND_SCRIPT = """
local refused = {}
local key, at = 1, 1
while at <= #ARGV do
  local attempt, channel, lines = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2]
  at = at + 3
  local is_published = true
  if attempt > 0 then
    local stream, fence = KEYS[key], KEYS[key + 1]
    local number, first, ttl = ARGV[at], ARGV[at + 1], ARGV[at + 2]
    key, at = key + 2, at + 3
    is_published = attempt >= tonumber(redis.call('GET', fence) or '0')
    if is_published then
      local added = redis.pcall('XADD', stream, 'MINID', '=', first, number, 'e', lines)
      if type(added) == 'table' and added.err then
        is_published = false
        refused[#refused + 1] = added.err
      else
        redis.call('EXPIRE', stream, ttl)
      end
    end
  end
  if is_published then redis.call('PUBLISH', channel, lines) end
end
return refused
"""
"""Publish entries in order, and store those of streamed jobs before. Returns errors.

For each entry: the attempt (0: do not store), the channel and the lines; for a stored one also the
entry's number, the first number that stays, and the seconds to live, with the keys of the stream
and of the fence. An attempt that another has replaced publishes nothing.
"""


async def take_over(
    redis: Redis, job_id: str, attempt: int, *, ttl_seconds: int
) -> AsyncIterator[list[Event]]:
    """Exclude earlier attempts from a streamed job's log, and yield their events.

    A worker that lost its job may still send events; from now on they are refused.
    """
    await redis.set(fence_key(job_id), attempt, ex=ttl_seconds)
    async for events in read_kept(redis, job_id):
        yield events


class EventWriter:
    """Collects the events of a worker and sends them together.

    New events collect during a round trip, and some wait a moment for others, so that a burst of
    chunks needs few commands. Events may be lost: readers then use the database.
    """

    def __init__(self, redis: Redis, *, ttl_seconds: int) -> None:
        self._redis = redis
        self._ttl = ttl_seconds
        self._pending: dict[str, list[Event]] = {}
        self._size = 0  # of the pending events, in bytes
        self._first_kept: dict[str, int] = {}  # the first number that a stream keeps, by job id
        self._keys: dict[str, tuple[str, int]] = {}  # value and seconds to live, by key
        self._attempts: dict[str, int] = {}  # of pending streams, by job id
        self._loop = asyncio.get_running_loop()
        self._due = math.inf  # the loop's time at which the pending events are sent
        self._timer: asyncio.TimerHandle | None = None
        self._work = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run())

    def emit(
        self,
        job_id: str,
        events: Sequence[Event],
        *,
        attempt: int | None,
        keep_from: int = 0,
        within: float = 0.0,
    ) -> None:
        """Send events in order; those of a streamed job's `attempt` are also stored.

        Its events with numbers below `keep_from` are deleted from Redis. They may wait for further
        events `within` some seconds.
        """
        size = sum(len(event.data) for event in events)
        if self._size + size > MAX_PENDING_BYTES and not events[-1].is_end:
            return
        self._size += size
        self._pending.setdefault(job_id, []).extend(events)
        if attempt is not None:
            self._attempts[job_id] = attempt
            self._first_kept[job_id] = keep_from
        self._send_by(self._loop.time() + within)

    def set_key(self, key: str, value: str, *, seconds: int) -> None:
        """Set a Redis key with a lifetime, together with the next events."""
        self._keys[key] = (value, seconds)

    async def close(self) -> None:
        """Send the pending events and stop."""
        self._closing = True
        self._work.set()
        await self._task

    def _send_by(self, moment: float) -> None:
        """Send what is pending at a moment of the loop's time, unless it is due before."""
        if moment >= self._due:
            return
        self._due = moment
        self._stop_timer()
        if moment <= self._loop.time():
            self._work.set()
        else:
            self._timer = self._loop.call_at(moment, self._work.set)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _run(self) -> None:
        while not self._closing:
            await self._work.wait()
            await self._flush()
        await self._flush()

    async def _flush(self) -> None:
        self._work.clear()
        self._stop_timer()
        self._due = math.inf
        pending, self._pending = self._pending, {}
        attempts, self._attempts = self._attempts, {}
        first_kept, self._first_kept = self._first_kept, {}
        self._size = 0
        if not pending:
            return
        values, self._keys = self._keys, {}
        keys: list[str] = []
        arguments: list[str | bytes | int] = []
        for job_id, events in pending.items():
            attempt = attempts.get(job_id, 0)
            for entry in _group_pages(events):
                arguments += (attempt, channel_of(job_id), encode(entry))
                if attempt:
                    last = entry[-1]
                    ttl = min(self._ttl, ENDED_TTL_SECONDS) if last.is_end else self._ttl
                    # the database has the log of an ended job, so only the end stays here
                    first = last.number if last.type in _FINAL_ENDS else first_kept[job_id]
                    keys += (stream_key(job_id), fence_key(job_id))
                    arguments += (f"{last.number}-0", f"{first}-0", ttl)
        try:
            refused = await self._send(values, keys, arguments)
        except (RedisError, OSError) as error:
            log.warning("events.not_sent", jobs=len(pending), error=str(error))
            return
        for message in refused:
            log.info("events.refused", error=message.decode())

    async def _send(
        self,
        values: Mapping[str, tuple[str, int]],
        keys: Sequence[str],
        arguments: Sequence[str | bytes | int],
    ) -> list[bytes]:
        """Send all in one command; values to set need a pipeline. Return the errors of entries."""
        redis: Any = self._redis  # redis-py states results as Any or Awaitable
        if not values:
            refused: list[bytes] = await redis.eval(SEND_SCRIPT, len(keys), *keys, *arguments)
            return refused
        pipeline = redis.pipeline(transaction=False)
        for key, (value, seconds) in values.items():
            pipeline.set(key, value, ex=seconds)
        pipeline.eval(SEND_SCRIPT, len(keys), *keys, *arguments)
        results = await pipeline.execute(raise_on_error=False)
        failed = [str(each).encode() for each in results if isinstance(each, ResponseError)]
        return failed or results[-1]


def _group_pages(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Yield events in lists of about a page each."""
    entry: list[Event] = []
    size = 0
    for event in events:
        entry.append(event)
        size += len(event.data)
        if size >= PAGE_BYTES:
            yield entry
            entry, size = [], 0
    if entry:
        yield entry
