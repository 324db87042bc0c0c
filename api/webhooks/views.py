"""Webhook endpoints, secrets and deliveries in answers."""

import orjson

from broker.clock import seconds
from broker.completion import Json
from broker.security.encryption import Encryption
from broker.webhooks import DeliveryReport, DeliveryState
from broker.webhooks.deliveries import AttemptRow, DeliveryRow
from broker.webhooks.endpoints import SecretRow, WebhookEndpointRow


def render_endpoint(row: WebhookEndpointRow, encryption: Encryption) -> Json:
    """Render an endpoint without its secret and without the values of its headers."""
    return {
        "id": row.id,
        "object": "webhook_endpoint",
        "url": row.url,
        "description": row.description,
        "events": orjson.Fragment(row.events),
        "payload": row.payload,
        "scheme": row.scheme,
        "signature": row.signature,
        "public_key": row.public_key,
        "header_names": list(orjson.loads(encryption.decrypt(row.headers))) if row.headers else [],
        "rate_limit": row.rate_limit,
        "disabled": row.disabled,
        "disabled_reason": row.disabled_reason,
        "disabled_at": seconds(row.disabled_at),
        "failing_since": seconds(row.failing_since),
        "previous_secret_until": seconds(row.previous_until),
        "created_at": seconds(row.created_at),
    }


def render_secret(row: SecretRow, encryption: Encryption) -> Json:
    """Render the secret of a workspace."""
    return {
        "object": "webhook_secret",
        "secret": encryption.decrypt(row.secret),
        "previous_secret_until": seconds(row.previous_until),
        "created_at": seconds(row.created_at),
    }


def render_delivery(row: DeliveryRow) -> Json:
    """Render a delivery for lists, without its payload. `event_id` is its `webhook-id`."""
    is_pending = row.state == DeliveryState.PENDING.value
    return {
        "id": row.id,
        "object": "webhook_delivery",
        "status": row.state,
        "event_id": row.event_id,
        "event_type": row.event_type,
        "subject_id": row.subject_id,
        "endpoint_id": row.endpoint_id,
        "url": row.url,
        "attempt": row.attempt,
        "next_attempt_at": seconds(row.next_at) if is_pending else None,
        "created_at": seconds(row.created_at),
        "ended_at": seconds(row.ended_at),
    }


def render_delivery_details(report: DeliveryReport) -> Json:
    """Render a delivery with its payload and every attempt."""
    return render_delivery(report.delivery) | {
        "payload": orjson.Fragment(report.payload),
        "attempts": [_render_attempt(row) for row in report.attempts],
    }


def render_job_delivery(row: DeliveryRow) -> Json:
    """Render a delivery inside its job."""
    names = ("id", "status", "event_type", "endpoint_id", "url", "attempt")
    shown = render_delivery(row)
    return {name: shown[name] for name in names}


def _render_attempt(row: AttemptRow) -> Json:
    return {
        "number": row.number,
        "started_at": seconds(row.started_at),
        "duration_ms": row.duration_ms,
        "http_status": row.status,
        "error": row.error,
        "body": row.body,
    }
