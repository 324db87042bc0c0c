"""One job in this process, and the request that its endpoint is sent."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from broker import routing
from broker.completion import (
    AttemptAnswer,
    CompletionRequest,
    Json,
    Timings,
)
from broker.lifecycle import ClaimedJob
from broker.pricing import BATCH_TIER
from broker.providers.endpoint_stats import EndpointKey
from broker.requests import context_compression, parameters
from broker.requests.operations import Operation
from workers.attempt.events import AttemptEvents
from workers.upstream.answer_body import Stopwatch
from workers.upstream.assembly import Assembly

ROUTING_FIELDS = frozenset(
    {"model", "models", "route", "routing", "provider", "plugins", "transforms", "preset",
     "allowed_models", "excluded_models", "cost_tier", "session_id", "trace", "usage",
     "stream", "stream_options", "debug", "coalesce"}
)  # fmt: skip
"""Fields of a chat body that speak to Waybill: no provider sees them."""


def request_of(job: ClaimedJob, body: Json) -> CompletionRequest:
    """Return what the job's endpoint is asked: the body without what speaks to Waybill."""
    shortened = _shorten(body, job)
    asked = {name: value for name, value in shortened.items() if name not in ROUTING_FIELDS}
    if asked.get("service_tier") == BATCH_TIER:
        del asked["service_tier"]
    options = routing.options(body, job.endpoint.provider)
    return CompletionRequest(
        body=parameters.fitting(asked, job.endpoint.supported_parameters) | options,
        model=job.endpoint.native,
        stream=job.stream,
    )


def _shorten(body: Json, job: ClaimedJob) -> Json:
    """Return a chat's body without its middle, where it is too long and may be compressed."""
    room = job.endpoint.context_length
    is_chat = job.operation is Operation.CHAT
    if not is_chat or not context_compression.is_requested(body, room):
        return body
    return context_compression.compressed(body, room)


@dataclass(slots=True)
class JobRun:
    """A job in this process's hands."""

    job: ClaimedJob
    request: CompletionRequest
    events: AttemptEvents
    watch: Stopwatch
    plugins: Any = None  # the body's, which no provider sees
    usage_apart: bool = False  # the caller set `stream_options.include_usage`
    assembly: Assembly | None = None  # a stream's answer as far as it has come
    last: AttemptAnswer | None = None  # what came after the caller's cancellation
    probes: set[EndpointKey] = field(default_factory=set)  # half-open circuits this call decides
    batched: ClassVar[bool] = False  # the answer comes out of the provider's own batch

    @property
    def timings(self) -> Timings:
        return Timings(self.watch.first_token_ms, self.watch.elapsed_ms())
