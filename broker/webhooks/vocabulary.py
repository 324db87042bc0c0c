"""The words of webhooks: event types, and the closed sets that rows are made of."""

from collections.abc import Sequence
from enum import StrEnum

ENDPOINT_DISABLED = "endpoint.disabled"
TEST = "endpoint.test"
JOB_EVENTS = ("job.completed", "job.failed", "job.cancelled", "job.expired", "job.needs_review")
BATCH_EVENTS = tuple(  # OpenAI's names
    f"batch.{state}" for state in ("completed", "failed", "cancelled", "expired")
)
EVENT_TYPES = (
    *JOB_EVENTS,
    *BATCH_EVENTS,
    "budget.threshold",
    "provider.disabled",
    "credential.disabled",
    ENDPOINT_DISABLED,
    TEST,
)
"""Everything that is ever sent."""


class PayloadKind(StrEnum):
    THIN = "thin"  # ids and status: the receiver asks for the rest
    FULL = "full"  # the object as GET shows it


class Scheme(StrEnum):
    STANDARD = "standard"  # Standard Webhooks 1.0.0
    OPENROUTER = "openrouter"  # the headers and envelope of OpenRouter's job webhooks


class SignatureKind(StrEnum):
    V1 = "v1"  # HMAC-SHA256, one secret on both sides
    V1A = "v1a"  # Ed25519, the receiver has the public key only


class DeliveryState(StrEnum):
    PENDING = "pending"  # waits for its next attempt
    RUNNING = "running"  # an attempt is under way, under a lease
    DELIVERED = "delivered"  # the receiver said 2xx
    EXHAUSTED = "exhausted"  # every attempt failed
    CANCELLED = "cancelled"  # its endpoint was disabled or deleted


MISSING = (DeliveryState.EXHAUSTED, DeliveryState.CANCELLED)
"""What never arrived and is not tried again by itself."""


def is_wanted(event_type: str, wanted: Sequence[str], *, is_line: bool = False) -> bool:
    """Tell whether a filter lets a type through: `job.*` what begins so, an empty one all.

    Lines of batches are thousands: an empty filter keeps them out, they are asked for by name.
    """
    if not wanted:
        return not is_line
    return any(
        event_type == each or (each.endswith(".*") and event_type.startswith(each[:-1]))
        for each in wanted
    )
