"""Webhook event types and payloads `{type, timestamp, data}`. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import orjson

from broker.completion import Json
from broker.enums import DeliveryState, Scheme
from broker.ids import new_id

ENDPOINT_DISABLED = "endpoint.disabled"
TEST = "endpoint.test"
JOB_EVENTS = ("job.completed", "job.failed", "job.cancelled", "job.expired", "job.needs_review")
BATCH_EVENTS = tuple(  # OpenAI's names
    f"batch.{state}" for state in ("completed", "failed", "cancelled", "expired")
)
RESPONSE_EVENTS = tuple(  # OpenAI's names
    f"response.{status}" for status in ("completed", "incomplete", "failed", "cancelled")
)
EVENT_TYPES = (
    *JOB_EVENTS,
    *RESPONSE_EVENTS,
    *BATCH_EVENTS,
    "budget.threshold",
    "provider.disabled",
    "credential.disabled",
    ENDPOINT_DISABLED,
    TEST,
)
"""All event types."""


UNDELIVERED = (DeliveryState.EXHAUSTED, DeliveryState.CANCELLED)
"""States of deliveries that failed and are not retried automatically."""


def matches_filter(event_type: str, event_filter: Sequence[str], *, is_line: bool = False) -> bool:
    """Return whether a filter accepts a type: `job.*` accepts all job events, an empty one all.

    An empty filter rejects the events of batch lines, which are many; a filter must name them.
    """
    if not event_filter:
        return not is_line
    return any(
        event_type == each or (each.endswith(".*") and event_type.startswith(each[:-1]))
        for each in event_filter
    )


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """An event in a workspace, for its receivers."""

    workspace_id: str
    type: str  # one of EVENT_TYPES
    subject_id: str  # id of the job, batch or endpoint
    now: int
    data: Json  # thin: ids and status
    webhook: str | None = None  # of the subject: JSON {url, events}
    is_line: bool = False  # the subject is a line of a batch
    id: str = field(default_factory=lambda: new_id("evt_"))


class EventSubject(Protocol):
    """The subject of an event: a row of `jobs` or `batches`."""

    @property
    def id(self) -> str: ...

    @property
    def workspace_id(self) -> str: ...

    @property
    def webhook(self) -> str | None: ...


def build_job_event(
    job: EventSubject, state: str, now: int, *, is_line: bool = False
) -> WebhookEvent:
    """Return the event of a job that reached this state."""
    return _build_event("job", job, state, now, is_line=is_line)


def build_response_event(
    job: EventSubject, response_id: str, status: str, now: int, *, is_line: bool = False
) -> WebhookEvent:
    """Return the event of a response that ended with this status."""
    data = {"id": response_id}
    return WebhookEvent(
        job.workspace_id, f"response.{status}", job.id, now, data, job.webhook, is_line
    )


def build_batch_event(batch: EventSubject, state: str, now: int) -> WebhookEvent:
    """Return the event of a batch that ended in this state."""
    return _build_event("batch", batch, state, now, is_line=False)


def _build_event(
    kind: str, subject: EventSubject, state: str, now: int, *, is_line: bool
) -> WebhookEvent:
    data = {"id": subject.id, "object": kind, "status": state}
    return WebhookEvent(
        subject.workspace_id, f"{kind}.{state}", subject.id, now, data, subject.webhook, is_line
    )


def build_body(event: WebhookEvent, scheme: Scheme, document: Json | None = None) -> bytes:
    """Return the bytes to sign and send; `document` is the full object of a full payload.

    Events of responses have OpenAI's form (its guide "Webhooks").
    """
    moment: Json
    if event.type in RESPONSE_EVENTS:
        moment = {"id": event.id, "object": "event", "created_at": event.now // 1000}
    elif scheme is Scheme.OPENROUTER:
        moment = {"created_at": event.now // 1000}
    else:
        at = datetime.fromtimestamp(event.now / 1000, UTC)
        moment = {"timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
    return orjson.dumps({"type": event.type, **moment, "data": document or event.data})


def reduce_payload(sent: bytes) -> bytes:
    """Return a full payload reduced to the id, object and status."""
    document: Json = orjson.loads(sent)
    data = {name: document["data"].get(name) for name in ("id", "object", "status")}
    return orjson.dumps(document | {"data": data})
