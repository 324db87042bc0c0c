"""The response cache: find an earlier answer, and copy it to a new job in one transaction."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection

from broker.accounts import Principal
from broker.clock import now_ms
from broker.completion import Json, Timings
from broker.enums import JobState, Store
from broker.events.job_events import Event
from broker.events.stored_logs import LogPacker, StoredLog
from broker.ids import generation_id
from broker.jobs import reports
from broker.jobs.reports import JobReport
from broker.lifecycle import Claim, ClaimedJob, Finished, claim_many, record_many
from broker.requests.operations import Operation
from broker.storage.database import Database
from broker.submission.insertion import submit_many
from broker.submission.options import NewJob, Submitted
from broker.usage import GenerationRow

DEFAULT_TTL_SECONDS = 300
MAX_TTL_SECONDS = 86_400
_PREFIX = "waybill:cache:"
CACHED = frozenset(
    {
        *(Operation.CHAT, Operation.COMPLETIONS, Operation.EMBEDDINGS),
        *(Operation.RERANK, Operation.MODERATIONS),
    }
)
"""Operations whose answers are all in their bodies."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CachedJob:
    """The latest job with an identical request, and the lifetime of its answer."""

    job_id: str
    ttl_seconds: int


def build_key(principal: Principal, job: NewJob, *, variant: int = 0) -> str | None:
    """Return the cache key of a job; None for one whose answer is not cached.

    Only the same API key gets its answers again. Answers of jobs with `store: none` are not cached.
    Another `variant` of the same request has an answer of its own.
    """
    operation = job.row["operation"]
    if Operation(operation) not in CACHED or job.row["store"] == Store.NONE.value:
        return None
    body = orjson.loads(job.payload["request"])
    request: list[object] = [principal.workspace_id, principal.api_key_id, operation, body]
    if variant:
        request.append(variant)
    digest = hashlib.sha256(orjson.dumps(request, option=orjson.OPT_SORT_KEYS))
    return _PREFIX + digest.hexdigest()


async def find_cached(redis: Redis, key: str) -> CachedJob | None:
    """Return the latest job with this cache key. Raises RedisError."""
    found: Any = await redis.get(key)
    if found is None:
        return None
    ttl, job_id = found.decode().split(" ", 1)
    return CachedJob(job_id, int(ttl))


async def store(redis: Redis, key: str, cached: CachedJob, *, timeout_seconds: int) -> None:
    """Store a new job; its answer may take up to `timeout_seconds`. Raises RedisError."""
    value = f"{cached.ttl_seconds} {cached.job_id}"
    await redis.set(key, value, ex=cached.ttl_seconds + timeout_seconds)


async def find_answer(
    redis: Redis, database: Database, workspace_id: str, key: str
) -> JobReport | None:
    """Return the job with a cached answer, if there is one that may be used."""
    try:
        entry = await find_cached(redis, key)
    except (RedisError, OSError) as error:
        log.info("cache.lookup_failed", error=str(error))
        return None
    if entry is None:
        return None
    found = await database.read(reports.job, workspace_id, entry.job_id)
    return found if found is not None and _is_usable(found, entry.ttl_seconds) else None


def _is_usable(found: JobReport, ttl_seconds: int) -> bool:
    """Return whether a job has a complete answer that is not older than the TTL."""
    row, payload = found.job, found.payload
    is_whole = payload.response is not None and (payload.has_log or not row.stream)
    if row.state is not JobState.COMPLETED or not is_whole or found.generation is None:
        return False
    return row.ended_at is not None and now_ms() < row.ended_at + ttl_seconds * 1000


async def store_quietly(redis: Redis, key: str, cached: CachedJob, *, timeout_seconds: int) -> None:
    """Store a new job, if Redis answers."""
    try:
        await store(redis, key, cached, timeout_seconds=timeout_seconds)
    except (RedisError, OSError) as error:
        log.info("cache.store_failed", error=str(error))


OWNER = "response-cache"  # instead of a worker id
LEASE_MS = 60_000


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A new job, and the completed job whose answer it gets."""

    job: NewJob
    earlier: JobReport
    now: int


def replay_many(
    connection: Connection, answers: Sequence[CachedAnswer]
) -> Sequence[Submitted | Exception]:
    """Insert jobs, and complete them with the cached answers."""
    results = submit_many(connection, [_remove_hold(each.job) for each in answers])
    by_id = {
        each.job.id: each
        for each, result in zip(answers, results, strict=True)
        if isinstance(result, Submitted) and not result.replayed
    }
    claims = [Claim(job_id, OWNER, each.now, LEASE_MS) for job_id, each in by_id.items()]
    claimed = [job for job in claim_many(connection, claims) if job is not None] if claims else []
    assert len(claimed) == len(by_id)  # they were inserted a moment ago, in this transaction
    endings = [
        _build_end(connection, job, by_id[job.id].earlier, by_id[job.id].now) for job in claimed
    ]
    record_many(connection, endings)
    return results


def _remove_hold(job: NewJob) -> NewJob:
    """Return a job without a hold and without coalescing."""
    return replace(job, row={**job.row, "hold_nanos": 0}, shares=None)


def _build_end(connection: Connection, job: ClaimedJob, earlier: JobReport, now: int) -> Finished:
    answer = earlier.payload.response
    assert answer is not None  # only jobs with an answer are cached
    assert earlier.generation is not None
    response = _rewrite(orjson.loads(answer), job, now)
    return Finished(
        job=job,
        now=now,
        generation=_build_generation(earlier.generation, job, now),
        response=orjson.dumps(response),
        timings=Timings(),
        events=_build_events(connection, job, earlier, now) if job.stream else None,
    )


def _rewrite(body: Json, job: ClaimedJob, now: int) -> Json:
    """Return an answer or a chunk with the id of this job and without usage."""
    rewritten = body | {"id": generation_id(job.id), "created": now // 1000}
    if "usage" in body:
        rewritten["usage"] = _zero_counts(body["usage"])
    return rewritten


def _zero_counts(counts: Any) -> Any:
    if isinstance(counts, Mapping):
        return {name: _zero_counts(value) for name, value in counts.items()}
    return 0 if isinstance(counts, int | float) and not isinstance(counts, bool) else counts


def _build_generation(earlier: GenerationRow, job: ClaimedJob, now: int) -> GenerationRow:
    """Return a copy of a generation for this job, without usage, cost and times."""
    columns: Json = {
        name: 0 if value is not None and name.endswith(("_nanos", "_tokens")) else value
        for name, value in earlier._asdict().items()
    }
    return GenerationRow(**columns)._replace(
        id=generation_id(job.id),
        job_id=job.id,
        workspace_id=job.workspace_id,
        attempt=job.attempt,
        upstream_id=None,
        first_token_ms=None,
        duration_ms=0,
        created_at=now,
    )


def _build_events(connection: Connection, job: ClaimedJob, earlier: JobReport, now: int) -> bytes:
    """Return the event log of this job, with the chunks of the earlier stream."""
    earlier_id = earlier.job.id
    log_reader = StoredLog(earlier_id, StoredLog(earlier_id).latest_start(connection))
    log, number = LogPacker(), 0
    while page := log_reader.page(connection):
        for event in page:
            if event.is_chunk:
                number += 1
                chunk = _rewrite(orjson.loads(event.data), job, now)
                log.add([Event(number, event.type, orjson.dumps(chunk))])
    end = {
        "job_id": job.id,
        "status": "completed",
        "generation_id": generation_id(job.id),
    }
    return log.pack([Event(number + 1, "completed", orjson.dumps(end))])
