"""Make jobs into the lines of a batch, each with the body that an ordinary call would have."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from broker.completion import AttemptOutcome, ErrorType, Failure, Json
from broker.native_batches import Called
from broker.requests.operations import Operation
from broker.requests.plugins import read_file_parser
from workers.attempt.job_run import request_of
from workers.context import WorkerContext
from workers.media import create_pdf_reader, prepare, refuse_private_urls
from workers.media.preparation import most_fetched
from workers.native_batches.base import BatchApi
from workers.provider_routes import ProviderRoute
from workers.upstream.client import build_request

NO_ROOM = Failure(
    AttemptOutcome.NOT_SENT, ErrorType.PAYLOAD_TOO_LARGE, "The provider's batch had no more room."
)


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines that go into a batch, and those that do not, with the reasons."""

    within: Sequence[bytes]
    without: Sequence[tuple[Called, Failure]]


async def bytes_of(jobs: Sequence[Called], *, largest: int, max_bytes: int) -> int:
    """Return the bytes that the lines of these jobs hold at most: bodies, and what is fetched.

    One URL has `largest` bytes; of all lines no more than `max_bytes` are kept.
    """
    bodies = fetched = 0
    for called in jobs:
        await asyncio.sleep(0)  # others have their turn between two large bodies
        bodies += len(called.job.request)
        if called.job.operation is Operation.CHAT:
            fetched += most_fetched(orjson.loads(called.job.request), largest)
    return bodies + min(fetched, max_bytes)


async def lines_of(
    context: WorkerContext,
    route: ProviderRoute,
    api: BatchApi,
    jobs: Sequence[Called],
    *,
    max_bytes: int,
) -> Lines:
    """Build the lines of these jobs, as far as there is room."""
    within: list[bytes] = []
    without: list[tuple[Called, Failure]] = []
    size = 0
    for called in jobs:
        line = await _line(context, route, api, called)
        if isinstance(line, bytes) and size + len(line) > max_bytes:
            line = NO_ROOM
        if isinstance(line, Failure):
            without.append((called, line))
        else:
            within.append(line)
            size += len(line) + 1
    return Lines(within, without)


async def _line(
    context: WorkerContext, route: ProviderRoute, api: BatchApi, called: Called
) -> bytes | Failure:
    job = called.job
    body: Json = orjson.loads(job.request)
    request = request_of(job, body)
    adapter = route.adapter(job.operation)
    if adapter is None:
        message = f"{job.endpoint.provider} does not serve {job.operation.value}."
        return Failure(AttemptOutcome.NOT_SENT, ErrorType.NOT_FOUND, message)
    if job.operation is Operation.CHAT:
        prepared = await prepare(
            request.body,
            modalities=job.endpoint.input_modalities,
            adapter=route.chat,
            fetch=context.fetch,
            read_pdf=create_pdf_reader(context.sandbox, job.workspace_id),
            parser=read_file_parser(body.get("plugins")),
            quirks=route.upstream.quirks,
        )
        if isinstance(prepared, Failure):
            return prepared
        request = replace(request, body=prepared.body)
    base_url, networks = route.upstream.base_url, context.settings.allowed_networks
    refused = await refuse_private_urls(request.body, base_url, networks, route.chat.opens)
    if refused is not None:
        return refused
    built = build_request(adapter, request, route.upstream)
    return built if isinstance(built, Failure) else api.line(job.id, job.operation, built.body)
