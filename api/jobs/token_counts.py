"""Counts of the tokens of a prompt: estimates, for which nothing is sent, stored or charged."""

import orjson
from starlette.requests import Request

from api.core.services import Services
from api.jobs import submit
from broker import rate_limits
from broker.accounts import Principal
from broker.clock import now_ms
from broker.completion import Json
from broker.rate_limits import LimitKind
from broker.requests.token_estimates import estimate_input_tokens
from broker.submission import JobOptions


async def count_tokens(
    request: Request, services: Services, principal: Principal, body: Json
) -> int:
    """Return the estimated input tokens of a chat body, by its length.

    The body and the rights of the caller are checked as for a call, and it counts as a request for
    limits of rate. Raises the errors of a call.
    """
    job = await submit.prepare_job(request, services, principal, body, JobOptions())
    limits = [limit for limit in job.limits if limit.kind is LimitKind.RATE]
    if limits and (refusal := await services.limiter.take(limits, job.id, now_ms())):
        raise rate_limits.error_of(refusal, now_ms(), at_once=1)
    return estimate_input_tokens(orjson.loads(job.payload["request"]))
