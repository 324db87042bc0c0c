"""Record the ends of attempts (running → delivered | pending | exhausted); recover lost ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, insert, literal, select, update

from broker.enums import DeliveryState
from broker.storage.tables import Delivery, DeliveryAttempt, table
from broker.webhooks.claims import ClaimedDelivery, ClaimNext, claim_next_many
from broker.webhooks.endpoint_health import EndpointResult, record_health
from broker.webhooks.schedule import Delivered, DeliveryDecision, Exhausted, Interrupted, RetryAt

_deliveries = table(Delivery)
_INSERT_ATTEMPTS = insert(table(DeliveryAttempt))
_RUNNING = (
    select(_deliveries.c.id, _deliveries.c.attempt)
    .where(
        _deliveries.c.id.in_(bindparam("ids", expanding=True)),
        _deliveries.c.state == DeliveryState.RUNNING.value,
    )
    .order_by(_deliveries.c.id)
    .with_for_update()
)
_END = (
    update(_deliveries)
    .where(_deliveries.c.id == bindparam("of_delivery"))
    .values(
        {
            name: bindparam(name)
            for name in ("state", "failures", "next_at", "dispatch_at", "ended_at")
        }
        | {"lease_owner": None, "lease_expires_at": None}
    )
)


@dataclass(frozen=True, slots=True)
class DeliveryEnding:
    """The end of one attempt."""

    delivery: ClaimedDelivery
    started_at: int
    now: int
    decision: DeliveryDecision
    status: int | None = None  # HTTP
    error: str | None = None
    body: str | None = None  # of the answer, truncated
    next_claim: ClaimNext | None = None  # the next claim of its lane, if it was delivered


@dataclass(frozen=True, slots=True)
class RecordedEnding:
    """The result of recording an end."""

    is_current: bool  # False: the attempt was not the delivery's current one
    next_delivery: ClaimedDelivery | None = None  # claimed for the same lane


def record_many(
    connection: Connection, endings: Sequence[DeliveryEnding]
) -> Sequence[RecordedEnding]:
    """Record the ends of attempts, and claim the next deliveries of their lanes.

    Both are in one transaction, so that a lane between two deliveries never counts as free.
    """
    wanted = {"ids": [ending.delivery.id for ending in endings]}
    running = {(row.id, row.attempt) for row in connection.execute(_RUNNING, wanted)}
    current = [end for end in endings if (end.delivery.id, end.delivery.attempt) in running]
    if current:
        connection.execute(_END, [_build_end(ending) for ending in current])
        connection.execute(_INSERT_ATTEMPTS, [_build_attempt(ending) for ending in current])
        record_health(
            connection,
            [result for ending in current if (result := _build_result(ending)) is not None],
        )
    claimed = _claim_next(connection, current)
    return [
        RecordedEnding(
            (end.delivery.id, end.delivery.attempt) in running, claimed.get(end.delivery.id)
        )
        for end in endings
    ]


def _claim_next(
    connection: Connection, endings: Sequence[DeliveryEnding]
) -> dict[str, ClaimedDelivery | None]:
    """Claim the next delivery of each lane; return them by the id of the delivery just made."""
    claims = {
        ending.delivery.id: ending.next_claim
        for ending in endings
        if ending.next_claim is not None and isinstance(ending.decision, Delivered)
    }
    if not claims:
        return {}
    claimed = claim_next_many(connection, list(claims.values()))
    return dict(zip(claims, claimed, strict=True))


def _build_end(ending: DeliveryEnding) -> dict[str, Any]:
    decision, delivery = ending.decision, ending.delivery
    at = decision.at if isinstance(decision, RetryAt) else ending.now
    state = _find_state(decision)
    is_failure = isinstance(decision, RetryAt | Exhausted)
    return {
        "of_delivery": delivery.id,
        "state": state.value,
        "failures": delivery.failures + is_failure,
        "next_at": at,
        "dispatch_at": at,
        "ended_at": None if state is DeliveryState.PENDING else ending.now,
    }


def _find_state(decision: DeliveryDecision) -> DeliveryState:
    if isinstance(decision, Delivered):
        return DeliveryState.DELIVERED
    if isinstance(decision, Exhausted):
        return DeliveryState.EXHAUSTED
    return DeliveryState.PENDING


def _build_attempt(ending: DeliveryEnding) -> dict[str, Any]:
    return {
        "delivery_id": ending.delivery.id,
        "number": ending.delivery.attempt,
        "started_at": ending.started_at,
        "duration_ms": max(ending.now - ending.started_at, 0),
        "status": ending.status,
        "error": ending.error,
        "body": ending.body,
    }


def _build_result(ending: DeliveryEnding) -> EndpointResult | None:
    """Return the verdict of the attempt on its endpoint's health."""
    decision, endpoint_id = ending.decision, ending.delivery.endpoint_id
    if endpoint_id is None or isinstance(decision, Interrupted):
        return None
    is_gone = isinstance(decision, Exhausted) and decision.gone
    return EndpointResult(endpoint_id, ending.now, ok=isinstance(decision, Delivered), gone=is_gone)


RECOVERY_GROUP = 500
LOST = "The worker that made this attempt was lost before it could report: it may have arrived."

_attempts = table(DeliveryAttempt)


def has_leases(connection: Connection) -> bool:
    """Return whether a worker has a delivery under a lease. Change nothing."""
    leased = select(literal(1)).where(_deliveries.c.lease_expires_at.is_not(None)).limit(1)
    return connection.execute(leased).first() is not None


def rescue(connection: Connection, now: int, owner: str | None = None) -> int:
    """Make lost deliveries due at once, under the same webhook-id; return their number.

    These are the deliveries whose lease expired, or those of `owner`, a worker that has stopped.
    One call recovers at most RECOVERY_GROUP: if it returns as many, there may be more.
    """
    lost = (
        _deliveries.c.lease_expires_at < now
        if owner is None
        else _deliveries.c.lease_owner == owner
    )
    rows = connection.execute(
        select(_deliveries.c.id, _deliveries.c.attempt)
        .where(_deliveries.c.state == DeliveryState.RUNNING.value, lost)
        .order_by(_deliveries.c.id)
        .limit(RECOVERY_GROUP)
        .with_for_update(skip_locked=True)
    ).all()
    if rows:
        connection.execute(
            update(_deliveries)
            .where(_deliveries.c.id.in_([row.id for row in rows]))
            .values(
                state=DeliveryState.PENDING.value,
                next_at=now,
                dispatch_at=now,
                lease_owner=None,
                lease_expires_at=None,
            )
        )
        connection.execute(
            insert(_attempts), [_build_lost_attempt(row.id, row.attempt, now) for row in rows]
        )
    return len(rows)


def _build_lost_attempt(delivery_id: str, attempt: int, now: int) -> dict[str, Any]:
    return {
        "delivery_id": delivery_id,
        "number": attempt,
        "started_at": now,  # the real start is unknown
        "duration_ms": None,
        "status": None,
        "error": LOST,
        "body": None,
    }
