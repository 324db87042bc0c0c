"""Endpoints, secrets and deliveries as their owner sees them, made from rows."""

from typing import Any

import orjson

from broker.clock import seconds
from broker.completion import Json
from broker.security.encryption import Encryption
from broker.webhooks import DeliveryReport, DeliveryState


def endpoint(row: Any, seal: Encryption) -> Json:
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
        "header_names": list(orjson.loads(seal.open(row.headers))) if row.headers else [],
        "rate_limit": row.rate_limit,
        "disabled": row.disabled,
        "disabled_reason": row.disabled_reason,
        "disabled_at": seconds(row.disabled_at),
        "failing_since": seconds(row.failing_since),
        "previous_secret_until": seconds(row.previous_until),
        "created_at": seconds(row.created_at),
    }


def workspace_secret(row: Any, seal: Encryption) -> Json:
    return {
        "object": "webhook_secret",
        "secret": seal.open(row.secret),
        "previous_secret_until": seconds(row.previous_until),
        "created_at": seconds(row.created_at),
    }


def delivery(row: Any) -> Json:
    """Render a delivery for lists, without its payload. `event_id` is its `webhook-id`."""
    waits = row.state == DeliveryState.PENDING.value
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
        "next_attempt_at": seconds(row.next_at) if waits else None,
        "created_at": seconds(row.created_at),
        "ended_at": seconds(row.ended_at),
    }


def whole_delivery(report: DeliveryReport) -> Json:
    """Render a delivery with its payload and every attempt."""
    return delivery(report.delivery) | {
        "payload": orjson.Fragment(report.payload),
        "attempts": [_attempt(row) for row in report.attempts],
    }


def job_delivery(row: Any) -> Json:
    """Render a delivery for its job."""
    names = ("id", "status", "event_type", "endpoint_id", "url", "attempt")
    shown = delivery(row)
    return {name: shown[name] for name in names}


def _attempt(row: Any) -> Json:
    return {
        "number": row.number,
        "started_at": seconds(row.started_at),
        "duration_ms": row.duration_ms,
        "http_status": row.status,
        "error": row.error,
        "body": row.body,
    }
