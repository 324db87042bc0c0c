"""The numbered events of a job, which are published after the database has their cause."""

from collections import deque
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from broker.completion import Failure, Json
from broker.events import job_events
from broker.events.job_events import Event, EventWriter
from broker.events.stored_logs import LogPacker
from broker.lifecycle import ClaimedJob
from broker.lifecycle.retries import Retry
from broker.providers.endpoints import Endpoint

FENCE_SECONDS = 24 * 3600


class AttemptEvents:
    """The part of a job's event log that one attempt writes."""

    def __init__(
        self, job: ClaimedJob, writer: EventWriter, log: LogPacker, last_number: int
    ) -> None:
        self._job = job
        self._writer = writer
        self._log = log  # the whole log of a streamed job, which is stored when the job ends
        self._page_ends: deque[int] = deque(maxlen=job_events.MAX_STREAM_PAGES)
        self._number = last_number
        self._pending: list[Event] = []
        self.shown = False  # a chunk of this attempt was published

    @classmethod
    async def open(cls, job: ClaimedJob, writer: EventWriter, redis: Redis) -> "AttemptEvents":
        """Begin this attempt's part of the log, after the events of earlier attempts."""
        log, last_number, is_closed = await _read_past(job, redis)
        events = cls(job, writer, log, last_number)
        if job.stream and job.attempt > 1 and not is_closed:
            events._add(job_events.RETRYING, {"attempt": job.attempt - 1, "outcome": "unknown"})
        endpoint = job.endpoint
        events._add(
            job_events.STARTED,
            {
                "attempt": job.attempt,
                "provider": endpoint.provider,
                "model": endpoint.model,
                "queued_ms": job.queued_ms,
            },
        )
        events.publish_pending(within=job_events.START_SECONDS)
        return events

    def chunk(self, body: Json) -> None:
        """Publish one chunk: the first at once, a later one together with those after it."""
        within = job_events.CHUNK_SECONDS if self.shown else 0.0
        self.shown = True
        self._add(job_events.CHUNK, body)
        self.publish_pending(within=within)

    def usage(self, body: Json) -> None:
        """Prepare the chunk with the usage. It is published together with the end."""
        self._add(job_events.USAGE, body)

    def retrying(self, failure: Failure, retry: Retry, endpoint: Endpoint) -> None:
        self._add(
            job_events.RETRYING,
            {
                "attempt": self._job.attempt,
                "outcome": failure.outcome.value,
                "error_type": failure.error_type.value,
                "message": failure.message,
                "provider": endpoint.provider,
                "delay_seconds": round(retry.delay, 3),
            },
        )

    def end(
        self,
        status: str,
        facts: Json,
        *,
        response: bytes | None = None,
        error: str | None = None,
    ) -> None:
        """Prepare the last event of the job. `response` and `error` are JSON."""
        data: dict[str, Any] = {"job_id": self._job.id, "status": status, **facts}
        if response is not None:
            data["response"] = orjson.Fragment(response)
        if error is not None:
            data["error"] = orjson.Fragment(error)
        self._add(status, data)

    def discard_pending(self) -> None:
        """Discard the events that were prepared and not yet published."""
        self._number -= len(self._pending)
        self._pending = []

    def pack(self) -> bytes | None:
        """Return the whole log for the database, or None if the database can derive it."""
        return self._log.pack(self._pending) if self._job.stream else None

    def publish_pending(self, *, within: float = 0.0) -> None:
        """Publish the events that were prepared, within some seconds."""
        if not self._pending:
            return
        if self._job.stream:
            self._publish_kept(within)
        else:
            self._writer.emit(self._job.id, self._pending, attempt=None, within=within)
        self._pending = []

    def _publish_kept(self, within: float) -> None:
        """Publish the events that were prepared, and add them to the log."""
        if self._log.add(self._pending):
            self._page_ends.append(self._number)
        is_full = len(self._page_ends) == job_events.MAX_STREAM_PAGES
        self._writer.emit(
            self._job.id,
            self._pending,
            attempt=self._job.attempt,
            keep_from=self._page_ends[0] if is_full else 0,
            within=within,
        )

    def _add(self, type_: str, data: Json) -> None:
        self._number += 1
        self._pending.append(Event(self._number, type_, orjson.dumps(data)))


async def _read_past(job: ClaimedJob, redis: Redis) -> tuple[LogPacker, int, bool]:
    """Return the log of earlier attempts, their last number, and whether they published their end.

    Only a streamed job has chunks. Other jobs have two events for each attempt, which need not be
    read (see `reports.past_events`).
    """
    log = LogPacker()
    if job.attempt == 1:
        return log, 0, False
    if not job.stream:
        return log, 2 * (job.attempt - 1), False
    last: Event | None = None
    try:
        past = job_events.take_over(redis, job.id, job.attempt, ttl_seconds=FENCE_SECONDS)
        async for page in past:
            log.add(page)
            last = page[-1]
    except RedisError:
        return LogPacker(), job_events.first_number(job.attempt) - 1, False
    if last is not None and _is_closed(last, job):
        return log, last.number, True
    return log, job_events.first_number(job.attempt) - 1, False


def _is_closed(last: Event, job: ClaimedJob) -> bool:
    """Return whether the previous attempt published its own end. It writes nothing after that."""
    if last.type != job_events.RETRYING:
        return False
    return bool(orjson.loads(last.data)["attempt"] == job.attempt - 1)
