"""`X-OpenRouter-Cache`: an identical request gets the earlier answer again, at no cost.

Headers (openrouter.ai/docs/guides/features/response-caching): `X-OpenRouter-Cache: true`,
`-Cache-TTL` in seconds, `-Cache-Clear: true` for a fresh answer; the response has `-Cache-Status`
(HIT or MISS), `-Cache-Age`, `-Cache-TTL`, and `-Cache-Source-Id`, the earlier generation.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import structlog
from starlette.requests import Request
from starlette.responses import Response

from api.core.rate_limits import write_within_limits
from api.core.services import Services
from broker.accounts import Principal
from broker.clock import now_ms
from broker.errors import InvalidRequestError
from broker.ids import generation_id
from broker.jobs.reports import JobReport
from broker.rate_limits import LimitKind
from broker.submission import NewJob, Submitted, response_cache
from broker.submission.response_cache import (
    DEFAULT_TTL_SECONDS,
    MAX_TTL_SECONDS,
    CachedAnswer,
    CachedJob,
    replay_many,
)
from broker.values import immutable

HEADER = "X-OpenRouter-Cache"
ServeJob = Callable[[], Awaitable[Response]]
ReplayJob = Callable[[str], Awaitable[Response]]

log = structlog.get_logger()


@immutable
class CacheOptions:
    """The caller's cache headers."""

    key: str
    ttl_seconds: int
    clear: bool


def cache_options(request: Request, principal: Principal, job: NewJob) -> CacheOptions | None:
    """Read the headers; None without a cache. Raises InvalidRequestError.

    A request with an idempotency key returns its own job, never the answer of another one. Answers
    of jobs with `store: none` are not cached.
    """
    if not _is_true(request, HEADER) or "idempotency-key" in request.headers:
        return None
    key = response_cache.build_key(principal, job)
    if key is None:
        return None
    return CacheOptions(key, _read_ttl(request), _is_true(request, f"{HEADER}-Clear"))


async def serve_cached(
    services: Services,
    options: CacheOptions | None,
    job: NewJob,
    serve: ServeJob,
    replay: ReplayJob,
) -> Response:
    """Answer from the cache by `replay(job id)`, else by `serve()`, and cache that answer."""
    if options is None:
        return await serve()
    earlier = None if options.clear else await _find_cached(services, options, job)
    if earlier is not None:
        now = now_ms()
        submitted = await _write_replay(services, job, earlier, now)
        response = await replay(submitted.job_id)
        return _mark_hit(response, options, earlier, now)
    await _store_in_cache(services, options, job)
    response = await serve()
    response.headers[f"{HEADER}-Status"] = "MISS"
    response.headers[f"{HEADER}-TTL"] = str(options.ttl_seconds)
    return response


async def _write_replay(services: Services, job: NewJob, earlier: JobReport, now: int) -> Submitted:
    """Write a job that has its answer already. It counts as a request, but not as an open job."""
    rates = [each for each in job.limits if each.kind is not LimitKind.OPEN]

    async def write() -> Sequence[Submitted]:
        return [await services.database.write_grouped(replay_many, CachedAnswer(job, earlier, now))]

    [submitted] = await write_within_limits(services, [replace(job, limits=rates)], write)
    return submitted


async def _find_cached(services: Services, options: CacheOptions, job: NewJob) -> JobReport | None:
    """Return the job with a cached answer, if there is one that may be used."""
    workspace_id = job.row["workspace_id"]
    return await response_cache.find_answer(
        services.redis, services.database, workspace_id, options.key
    )


async def _store_in_cache(services: Services, options: CacheOptions, job: NewJob) -> None:
    await response_cache.store_quietly(
        services.redis,
        options.key,
        CachedJob(job.id, options.ttl_seconds),
        timeout_seconds=int(services.settings.sync_timeout_seconds),
    )


def _mark_hit(response: Response, options: CacheOptions, earlier: JobReport, now: int) -> Response:
    assert earlier.job.ended_at is not None  # only a completed job is usable
    age = max(now - earlier.job.ended_at, 0) // 1000
    response.headers[f"{HEADER}-Status"] = "HIT"
    response.headers[f"{HEADER}-Age"] = str(age)
    response.headers[f"{HEADER}-TTL"] = str(options.ttl_seconds)
    response.headers[f"{HEADER}-Source-Id"] = generation_id(earlier.job.id)
    return response


def _is_true(request: Request, name: str) -> bool:
    value = request.headers.get(name, "").strip().lower()
    if value not in ("", "true", "false"):
        raise InvalidRequestError(f"{name} is true or false, not {value!r}.", param=name)
    return value == "true"


def _read_ttl(request: Request) -> int:
    value = request.headers.get(f"{HEADER}-TTL", "").strip()
    if not value:
        return DEFAULT_TTL_SECONDS
    if not value.isdecimal() or not 1 <= int(value) <= MAX_TTL_SECONDS:
        raise InvalidRequestError(
            f"{HEADER}-TTL is a number of seconds from 1 to {MAX_TTL_SECONDS}.",
            param=f"{HEADER}-TTL",
        )
    return int(value)
