"""Bodies of the routes under /webhooks, and the webhook of a single job. Times are Unix seconds."""

import math
import time
from typing import Annotated, Any, TypeAlias

from fastapi import Depends
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    StringConstraints,
    WithJsonSchema,
)

from api.core.bodies import JsonBody
from broker.webhooks import PayloadKind, Scheme, SignatureKind

MAX_OVERLAP_SECONDS = 30 * 86_400

Url = Annotated[str, StringConstraints(min_length=1)]
Description = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")]
Events = Annotated[list[Annotated[str, StringConstraints(max_length=100)]], Field(max_length=50)]
RateLimit = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]  # deliveries a minute


def _read_seconds(value: Any) -> float:
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError(f"must be a time in Unix seconds, as {time.time():.0f} is now")
    return seconds


Moment = Annotated[
    float,
    PlainValidator(_read_seconds),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "description": "Unix seconds."}),
]


class _Closed(BaseModel):
    """A body in which an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")


URL_HELP = "The URL that deliveries are sent to."
DESCRIPTION_HELP = "Your own words."
EVENTS_HELP = "The event types to deliver, e.g. `job.failed` or `job.*`; all if it is empty."
PAYLOAD_HELP = "`thin` sends ids and the state, `full` the whole object."
SCHEME_HELP = "The headers of a delivery: Standard Webhooks or OpenRouter's."
SIGNATURE_HELP = "The signature: `v1` is HMAC-SHA256, `v1a` Ed25519."
HEADERS_HELP = "Additional headers of every delivery. Their values are not shown again."
RATE_LIMIT_HELP = "The most deliveries a minute."
OVERLAP_HELP = "The seconds for which the previous secret signs, too."


class EndpointRequest(_Closed):
    """A new webhook endpoint."""

    url: Url = Field(description=URL_HELP)
    description: Description = Field("", description=DESCRIPTION_HELP)
    events: Events = Field([], description=EVENTS_HELP)
    payload: PayloadKind = Field(PayloadKind.THIN, description=PAYLOAD_HELP)
    scheme: Scheme = Field(Scheme.STANDARD, description=SCHEME_HELP)
    signature: SignatureKind = Field(SignatureKind.V1, description=SIGNATURE_HELP)
    headers: dict[str, str] = Field({}, description=HEADERS_HELP)
    rate_limit: RateLimit | None = Field(None, description=RATE_LIMIT_HELP)


class EndpointChanges(_Closed):
    """Changes of a webhook endpoint; an absent field stays as it is."""

    url: Url = Field("", description=URL_HELP)
    description: Description = Field("", description=DESCRIPTION_HELP)
    events: Events = Field([], description=EVENTS_HELP)
    payload: PayloadKind = Field(PayloadKind.THIN, description=PAYLOAD_HELP)
    scheme: Scheme = Field(Scheme.STANDARD, description=SCHEME_HELP)
    headers: dict[str, str] = Field({}, description=HEADERS_HELP)
    rate_limit: RateLimit | None = Field(None, description=RATE_LIMIT_HELP)
    disabled: StrictBool = Field(default=False, description="Whether nothing is delivered.")


class RotationRequest(_Closed):
    """Options of a new secret."""

    overlap_seconds: int = Field(
        86_400, strict=True, ge=0, le=MAX_OVERLAP_SECONDS, description=OVERLAP_HELP
    )


class EndpointRotationRequest(RotationRequest):
    """Options of a new secret of a webhook endpoint."""

    signature: SignatureKind | None = Field(
        None, description="The signature from now on; the present one without it."
    )


class ReplayRequest(_Closed):
    """A range of deliveries to send again."""

    endpoint_id: str | None = Field(None, description="Only deliveries to this webhook endpoint.")
    since: Moment | None = Field(None, description="Only deliveries created at or after this time.")
    until: Moment | None = Field(None, description="Only deliveries created before this time.")
    only_missing: StrictBool = Field(
        default=True, description="Whether to leave out deliveries that were received."
    )


class JobWebhook(_Closed):
    """The webhook of a single job or batch."""

    url: Url = Field(description=URL_HELP)
    events: Events = Field([], description=EVENTS_HELP)


EndpointBody: TypeAlias = Annotated[
    EndpointRequest,
    Depends(
        JsonBody(
            EndpointRequest,
            {"url": "https://example.com/hooks", "events": ["job.completed", "job.failed"]},
        )
    ),
]

EndpointChangesBody: TypeAlias = Annotated[
    EndpointChanges, Depends(JsonBody(EndpointChanges, {"disabled": False}))
]

EndpointRotationBody: TypeAlias = Annotated[
    EndpointRotationRequest,
    Depends(JsonBody(EndpointRotationRequest, {"overlap_seconds": 3600}, required=False)),
]

RotationBody: TypeAlias = Annotated[
    RotationRequest, Depends(JsonBody(RotationRequest, {"overlap_seconds": 3600}, required=False))
]

ReplayBody: TypeAlias = Annotated[
    ReplayRequest,
    Depends(
        JsonBody(ReplayRequest, {"since": 1_780_000_000, "only_missing": True}, required=False)
    ),
]
