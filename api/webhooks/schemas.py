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


def _unix_seconds(value: Any) -> float:
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError(f"must be a time in Unix seconds, as {time.time():.0f} is now")
    return seconds


Moment = Annotated[
    float,
    PlainValidator(_unix_seconds),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "description": "Unix seconds."}),
]


class _Closed(BaseModel):
    """A field that is not known is refused: it was meant to do something."""

    model_config = ConfigDict(extra="forbid")


class EndpointRequest(_Closed):
    """A new endpoint. Without `events` it is sent all; `job.*` stands for all of a kind."""

    url: Url
    description: Description = ""
    events: Events = []
    payload: PayloadKind = PayloadKind.THIN
    scheme: Scheme = Scheme.STANDARD
    signature: SignatureKind = SignatureKind.V1
    headers: dict[str, str] = {}
    rate_limit: RateLimit | None = None


class EndpointChanges(_Closed):
    """Changes of an endpoint; an absent field stays as it is."""

    url: Url = ""
    description: Description = ""
    events: Events = []
    payload: PayloadKind = PayloadKind.THIN
    scheme: Scheme = Scheme.STANDARD
    headers: dict[str, str] = {}
    rate_limit: RateLimit | None = None
    disabled: StrictBool = False


class RotationRequest(_Closed):
    """A new secret; for `overlap_seconds` the one before signs too."""

    overlap_seconds: Annotated[int, Field(strict=True, ge=0, le=MAX_OVERLAP_SECONDS)] = 86_400


class EndpointRotationRequest(RotationRequest):
    """A new secret for an endpoint, of another kind if `signature` says so."""

    signature: SignatureKind | None = None


class ReplayRequest(_Closed):
    """A range of deliveries to send again: created from `since` on and before `until`."""

    endpoint_id: str | None = None
    since: Moment | None = None
    until: Moment | None = None
    only_missing: StrictBool = True


class JobWebhook(_Closed):
    """The webhook of a single job."""

    url: Url
    events: Events = []


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
