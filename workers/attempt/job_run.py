"""An attempt of a job in this process, and the request for its endpoint."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from broker import routing
from broker.completion import AttemptAnswer, CompletionRequest, Json, Timings
from broker.lifecycle import ClaimedJob
from broker.pricing import BATCH_TIER
from broker.providers.endpoint_stats import EndpointKey
from broker.requests import context_compression, parameters
from broker.requests.operations import Operation
from workers.attempt.events import AttemptEvents
from workers.attempt.running_attempts import AttemptHandle
from workers.upstream.answer_body import Stopwatch
from workers.upstream.assembly import Assembly

ROUTING_FIELDS = frozenset(
    {"model", "models", "route", "routing", "provider", "plugins", "transforms", "preset",
     "allowed_models", "excluded_models", "cost_tier", "session_id", "trace", "usage",
     "stream", "stream_options", "debug", "coalesce"}
)  # fmt: skip
"""Fields of a chat body that are for Waybill. Providers do not get them."""


def build_completion_request(job: ClaimedJob, body: Json) -> CompletionRequest:
    """Return the request for the job's endpoint: the body without the fields for Waybill."""
    fields = {
        name: value for name, value in _compress(body, job).items() if name not in ROUTING_FIELDS
    }
    if fields.get("service_tier") == BATCH_TIER:
        del fields["service_tier"]
    endpoint = job.endpoint
    options = routing.read_provider_options(body, endpoint.provider)
    kept = parameters.drop_unsupported(fields, endpoint.supported_parameters, endpoint.interface)
    return CompletionRequest(
        body=kept | options,
        model=endpoint.native,
        stream=job.stream,
        slug=endpoint.model,
    )


def _compress(body: Json, job: ClaimedJob) -> Json:
    """Return a chat's body without its middle, if it is too long and may be compressed."""
    limit = job.endpoint.context_length
    is_chat = job.operation is Operation.CHAT
    if not is_chat or not context_compression.is_requested(body, limit):
        return body
    return context_compression.compress(body, limit)


@dataclass(slots=True)
class JobRun:
    """An attempt of a job in this process."""

    job: ClaimedJob
    request: CompletionRequest
    events: AttemptEvents
    watch: Stopwatch
    handle: AttemptHandle
    plugins: Any = None  # of the body; providers do not get them
    usage_apart: bool = False  # the caller set `stream_options.include_usage`
    assembly: Assembly | None = None  # the part of a stream that has arrived
    last: AttemptAnswer | None = None  # the end of a call that was stopped
    probes: set[EndpointKey] = field(default_factory=set)  # half-open circuits this call decides
    batched: ClassVar[bool] = False  # the attempt is a line of a native batch

    @property
    def timings(self) -> Timings:
        return Timings(self.watch.first_token_ms, self.watch.elapsed_ms())
