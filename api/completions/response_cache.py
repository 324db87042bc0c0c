"""`X-OpenRouter-Cache`: a request that was answered before gets its answer again, for nothing.

Headers (openrouter.ai/docs/guides/features/response-caching): `X-OpenRouter-Cache: true`,
`-Cache-TTL` in seconds, `-Cache-Clear: true` for a fresh answer; the response has `-Cache-Status`
(HIT or MISS), `-Cache-Age`, `-Cache-TTL`, and `-Cache-Source-Id`, the earlier generation.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import orjson
import structlog
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response

from api.core.rate_limits import within_limits
from api.core.services import Services
from broker.accounts import Principal
from broker.clock import now_ms
from broker.enums import JobState, Store
from broker.errors import InvalidRequestError
from broker.ids import generation_id
from broker.jobs import reports
from broker.jobs.reports import JobReport
from broker.rate_limits import LimitKind
from broker.requests.operations import Operation
from broker.submission import NewJob, Submitted, response_cache
from broker.submission.response_cache import (
    DEFAULT_TTL_SECONDS,
    LONGEST_TTL_SECONDS,
    CachedAnswer,
    Known,
    replay_many,
)

HEADER = "X-OpenRouter-Cache"
CACHED = frozenset({Operation.CHAT, Operation.COMPLETIONS, Operation.EMBEDDINGS, Operation.RERANK})
"""Operations whose answers are all in their bodies."""

Serve = Callable[[], Awaitable[Response]]
ServeEarlier = Callable[[str], Awaitable[Response]]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """The caller's cache headers."""

    key: str
    ttl_seconds: int
    clear: bool


def cache_options(request: Request, principal: Principal, job: NewJob) -> CacheOptions | None:
    """Read the headers; None where no cache is asked for. Raises InvalidRequestError.

    An idempotency key asks for the same job, and so for no other job's answer; what is to be
    forgotten is not given again.
    """
    if not _is_true(request, HEADER) or "idempotency-key" in request.headers:
        return None
    if Operation(job.row["operation"]) not in CACHED or job.row["store"] == Store.NONE.value:
        return None
    body = orjson.loads(job.payload["request"])
    key = response_cache.key(principal, job.row["operation"], body)
    return CacheOptions(key, _ttl(request), _is_true(request, f"{HEADER}-Clear"))


async def serve_cached(
    services: Services, wish: CacheOptions | None, job: NewJob, serve: Serve, retell: ServeEarlier
) -> Response:
    """Answer from the cache by `retell(job id)`, else by `serve()`, which is remembered."""
    if wish is None:
        return await serve()
    earlier = None if wish.clear else await _recall(services, wish, job)
    if earlier is not None:
        now = now_ms()
        submitted = await _serve_again(services, job, earlier, now)
        response = await retell(submitted.job_id)
        return _hit(response, wish, earlier, now)
    await _remember(services, wish, job)
    response = await serve()
    response.headers[f"{HEADER}-Status"] = "MISS"
    response.headers[f"{HEADER}-TTL"] = str(wish.ttl_seconds)
    return response


async def _serve_again(services: Services, job: NewJob, earlier: JobReport, now: int) -> Submitted:
    """Write a job with its answer: a request like any other, but never an open job."""
    rates = [each for each in job.limits if each.kind is not LimitKind.OPEN]

    async def write() -> Sequence[Submitted]:
        return [await services.database.write_grouped(replay_many, CachedAnswer(job, earlier, now))]

    [submitted] = await within_limits(services, [replace(job, limits=rates)], write)
    return submitted


async def _recall(services: Services, wish: CacheOptions, job: NewJob) -> JobReport | None:
    """Return the job whose answer may be given again."""
    try:
        known = await response_cache.recall(services.redis, wish.key)
    except (RedisError, OSError) as error:
        log.info("cache.unheard", error=str(error))
        return None
    if known is None:
        return None
    workspace_id = job.row["workspace_id"]
    found = await services.database.read(reports.job, workspace_id, known.job_id)
    return found if found is not None and _is_good(found, known.ttl_seconds) else None


def _is_good(found: JobReport, ttl_seconds: int) -> bool:
    """Tell whether a job has an answer that is whole and still fresh."""
    row, payload = found.job, found.payload
    is_whole = payload.response is not None and (payload.has_log or not row.stream)
    if row.state != JobState.COMPLETED or not is_whole or found.generation is None:
        return False
    return bool(now_ms() < row.ended_at + ttl_seconds * 1000)


async def _remember(services: Services, wish: CacheOptions, job: NewJob) -> None:
    try:
        await response_cache.remember(
            services.redis,
            wish.key,
            Known(job.id, wish.ttl_seconds),
            patience_seconds=int(services.settings.sync_timeout_seconds),
        )
    except (RedisError, OSError) as error:
        log.info("cache.not_kept", error=str(error))


def _hit(response: Response, wish: CacheOptions, earlier: JobReport, now: int) -> Response:
    age = max(now - earlier.job.ended_at, 0) // 1000
    response.headers[f"{HEADER}-Status"] = "HIT"
    response.headers[f"{HEADER}-Age"] = str(age)
    response.headers[f"{HEADER}-TTL"] = str(wish.ttl_seconds)
    response.headers[f"{HEADER}-Source-Id"] = generation_id(earlier.job.id)
    return response


def _is_true(request: Request, name: str) -> bool:
    said = request.headers.get(name, "").strip().lower()
    if said not in ("", "true", "false"):
        raise InvalidRequestError(f"{name} is true or false, not {said!r}.", param=name)
    return said == "true"


def _ttl(request: Request) -> int:
    said = request.headers.get(f"{HEADER}-TTL", "").strip()
    if not said:
        return DEFAULT_TTL_SECONDS
    if not said.isdecimal() or not 1 <= int(said) <= LONGEST_TTL_SECONDS:
        raise InvalidRequestError(
            f"{HEADER}-TTL is a number of seconds from 1 to {LONGEST_TTL_SECONDS}.",
            param=f"{HEADER}-TTL",
        )
    return int(said)
