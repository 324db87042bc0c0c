"""The response cache: find an earlier answer, and give it to a new job in one transaction."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from redis.asyncio import Redis
from sqlalchemy import Connection

from broker.accounts import Principal
from broker.completion import Json, Timings
from broker.events.job_events import Event
from broker.events.stored_logs import LogPacker, StoredLog
from broker.ids import generation_id
from broker.jobs.reports import JobReport
from broker.lifecycle import Claim, ClaimedJob, Finished, claim_many, record_many
from broker.submission.insertion import submit_many
from broker.submission.options import NewJob, Submitted
from broker.usage import GenerationRow

DEFAULT_TTL_SECONDS = 300
LONGEST_TTL_SECONDS = 86_400
_PREFIX = "waybill:cache:"


@dataclass(frozen=True, slots=True)
class Known:
    """The latest job that was asked the same, and how long its answer is good for once it came."""

    job_id: str
    ttl_seconds: int


def key(principal: Principal, path: str, body: Json) -> str:
    """Digest who asks what, where: only the same API key is given its own answers again."""
    asked = [principal.workspace_id, principal.api_key_id, path, body]
    digest = hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS))
    return _PREFIX + digest.hexdigest()


async def recall(redis: Redis, key: str) -> Known | None:
    """Return who was asked the same. Raises RedisError."""
    found: Any = await redis.get(key)
    if found is None:
        return None
    ttl, job_id = found.decode().split(" ", 1)
    return Known(job_id, int(ttl))


async def remember(redis: Redis, key: str, known: Known, *, patience_seconds: int) -> None:
    """Keep a job that was just asked; it may take as long as `patience_seconds` to answer."""
    told = f"{known.ttl_seconds} {known.job_id}"
    await redis.set(key, told, ex=known.ttl_seconds + patience_seconds)


async def forget(redis: Redis, key: str) -> None:
    await redis.delete(key)


OWNER = "response-cache"  # stands for the worker
LEASE_MS = 60_000


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A job as it was asked for, and the completed one whose answer it gets."""

    job: NewJob
    earlier: JobReport
    now: int


def replay_many(
    connection: Connection, replays: Sequence[CachedAnswer]
) -> Sequence[Submitted | Exception]:
    """Write jobs together with the answers that they are given."""
    results = submit_many(connection, [_alone(each.job) for each in replays])
    made = {
        each.job.id: each
        for each, result in zip(replays, results, strict=True)
        if isinstance(result, Submitted) and not result.replayed
    }
    claims = [Claim(job_id, OWNER, each.now, LEASE_MS) for job_id, each in made.items()]
    claimed = [job for job in claim_many(connection, claims) if job is not None] if claims else []
    assert len(claimed) == len(made)  # they were inserted a moment ago, in this transaction
    endings = [_ending(connection, job, made[job.id].earlier, made[job.id].now) for job in claimed]
    record_many(connection, endings)
    return results


def _alone(job: NewJob) -> NewJob:
    """Return a job that costs nothing and waits for nobody: it has its answer."""
    return replace(job, row={**job.row, "hold_nanos": 0}, shares=None)


def _ending(connection: Connection, job: ClaimedJob, earlier: JobReport, now: int) -> Finished:
    response = _again(orjson.loads(earlier.payload.response), job, now)
    assert earlier.generation is not None  # only jobs with an answer are cached
    return Finished(
        job=job,
        now=now,
        generation=_generation(earlier.generation, job, now),
        response=orjson.dumps(response),
        timings=Timings(),
        events=_events(connection, job, earlier, now) if job.stream else None,
    )


def _again(body: Json, job: ClaimedJob, now: int) -> Json:
    """Return an answer, or a chunk of one, as this job's: its own id, nothing used."""
    again = body | {"id": generation_id(job.id), "created": now // 1000}
    if "usage" in body:
        again["usage"] = _zeroed(body["usage"])
    return again


def _zeroed(counts: Any) -> Any:
    if isinstance(counts, Mapping):
        return {name: _zeroed(value) for name, value in counts.items()}
    return 0 if isinstance(counts, int | float) and not isinstance(counts, bool) else counts


def _generation(earlier: GenerationRow, job: ClaimedJob, now: int) -> GenerationRow:
    """Return a generation as the earlier one, without its usage, cost and times."""
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


def _events(connection: Connection, job: ClaimedJob, earlier: JobReport, now: int) -> bytes:
    """Return the earlier stream's chunks and their end as this job's event log."""
    earlier_id = earlier.job.id
    past = StoredLog(earlier_id, StoredLog(earlier_id).latest_start(connection))
    log, number = LogPacker(), 0
    while told := past.page(connection):
        for event in told:
            if event.is_chunk:
                number += 1
                chunk = _again(orjson.loads(event.data), job, now)
                log.add([Event(number, event.type, orjson.dumps(chunk))])
    end = {
        "job_id": job.id,
        "status": "completed",
        "generation_id": generation_id(job.id),
    }
    return log.packed([Event(number + 1, "completed", orjson.dumps(end))])
