"""What a job's endpoint is asked, in a call of its own or as a line of the provider's batch."""

from broker import context_compression, parameters, routing
from broker.completion import CompletionRequest, Json
from broker.lifecycle import ClaimedJob
from broker.operations import Operation
from broker.pricing import BATCH_TIER

ROUTING_FIELDS = frozenset(
    {"model", "models", "route", "routing", "provider", "plugins", "transforms", "preset",
     "allowed_models", "excluded_models", "cost_tier", "session_id", "trace", "usage",
     "stream", "stream_options", "debug", "coalesce"}
)  # fmt: skip
"""Fields of a chat body that speak to Waybill: no provider sees them."""


def request_of(job: ClaimedJob, body: Json) -> CompletionRequest:
    """Return what the job's endpoint is asked: the body without what speaks to Waybill."""
    shortened = _shortened(body, job)
    asked = {name: value for name, value in shortened.items() if name not in ROUTING_FIELDS}
    if asked.get("service_tier") == BATCH_TIER:
        del asked["service_tier"]
    options = routing.options(body, job.endpoint.provider)
    return CompletionRequest(
        body=parameters.fitting(asked, job.endpoint.supported_parameters) | options,
        model=job.endpoint.native,
        stream=job.stream,
    )


def _shortened(body: Json, job: ClaimedJob) -> Json:
    """Return a chat's body without its middle, where it is too long and may be compressed."""
    room = job.endpoint.context_length
    is_chat = job.operation is Operation.CHAT
    if not is_chat or not context_compression.is_asked(body, room):
        return body
    return context_compression.compressed(body, room)
