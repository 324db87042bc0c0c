"""Build the lines of a batch, each with the body that an ordinary call would have."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from broker.completion import AttemptOutcome, ErrorType, Failure, Json
from broker.native_batches import Called
from broker.requests.operations import Operation
from workers.adapters.base import Upstream
from workers.adapters.openai.quirks import OpenAiQuirk
from workers.adapters.responses import ResponsesAdapter
from workers.attempt.attachments import Attachments
from workers.attempt.job_run import build_completion_request
from workers.media.preparation import most_fetched
from workers.native_batches.base import BatchApi
from workers.provider_routes import ProviderRoute
from workers.upstream.client import build_request

RESPONSES_PATH = "/v1/responses"
NO_ROOM = Failure(
    AttemptOutcome.NOT_SENT, ErrorType.PAYLOAD_TOO_LARGE, "The provider's batch had no more room."
)


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a batch, and the jobs that are not in it, with the reasons."""

    within: Sequence[bytes]
    without: Sequence[tuple[Called, Failure]]


async def estimate_bytes(jobs: Sequence[Called], *, largest: int, max_bytes: int) -> int:
    """Return the largest size of the lines of these jobs: their bodies and what is fetched.

    One URL has up to `largest` bytes. Of all that is fetched, at most `max_bytes` are kept.
    """
    bodies = fetched = 0
    for called in jobs:
        await asyncio.sleep(0)  # other tasks run between two large bodies
        bodies += len(called.job.request)
        if called.job.operation is Operation.CHAT:
            fetched += most_fetched(orjson.loads(called.job.request), largest)
    return bodies + min(fetched, max_bytes)


async def build_lines(
    attachments: Attachments,
    route: ProviderRoute,
    api: BatchApi,
    jobs: Sequence[Called],
    *,
    max_bytes: int,
) -> Lines:
    """Build the lines of these jobs, as many as the batch has room for."""
    within: list[bytes] = []
    without: list[tuple[Called, Failure]] = []
    size = 0
    for called in jobs:
        line = await _build_line(attachments, route, api, called)
        if isinstance(line, bytes) and size + len(line) > max_bytes:
            line = NO_ROOM
        if isinstance(line, Failure):
            without.append((called, line))
        else:
            within.append(line)
            size += len(line) + 1
    return Lines(within, without)


def find_path(route: ProviderRoute, called: Called) -> str:
    """Return the path that a line of a job stands for."""
    job = called.job
    adapter = route.adapter(job.operation, job.endpoint.interface)
    return RESPONSES_PATH if isinstance(adapter, ResponsesAdapter) else job.operation.value


async def _build_line(
    attachments: Attachments, route: ProviderRoute, api: BatchApi, called: Called
) -> bytes | Failure:
    job = called.job
    body: Json = orjson.loads(job.request)
    request = build_completion_request(job, body)
    adapter = route.adapter(job.operation, job.endpoint.interface)
    if adapter is None:
        message = f"{job.endpoint.provider} does not serve {job.operation.value}."
        return Failure(AttemptOutcome.NOT_SENT, ErrorType.NOT_FOUND, message)
    prepared = await attachments.fit(job, request.body, body.get("plugins"), route)
    if isinstance(prepared, Failure):
        return prepared
    request = replace(request, body=prepared.body)
    built = build_request(adapter, request, _without_background(route.upstream))
    if isinstance(built, Failure):
        return built
    return api.line(job.id, find_path(route, called), built.body)


def _without_background(upstream: Upstream) -> Upstream:
    """Return the upstream for lines, which need no connection anyway."""
    return replace(upstream, quirks=upstream.quirks - {OpenAiQuirk.BACKGROUND})
