"""running → delivered | pending | exhausted: ends of attempts, and of leases of lost workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from broker.enums import DeliveryState
from broker.storage.tables import Delivery, DeliveryAttempt, table
from broker.webhooks.claims import ClaimedDelivery, ClaimNext, claim_next_many
from broker.webhooks.endpoint_health import HealthSign, record_health
from broker.webhooks.schedule import Delivered, Exhausted, Following, HandedBack, RetryAt

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
    following: Following
    status: int | None = None  # HTTP
    error: str | None = None
    body: str | None = None  # the answer's, cut
    then: ClaimNext | None = None  # what its lane goes on with, should it have been delivered


@dataclass(frozen=True, slots=True)
class Recorded:
    """The result of recording an end."""

    is_live: bool  # False: the attempt was no longer the delivery's
    following: ClaimedDelivery | None = None  # the next one of its lane


def record_many(connection: Connection, endings: Sequence[DeliveryEnding]) -> Sequence[Recorded]:
    """Write how attempts ended, and claim what their lanes go on with.

    Both in one transaction: a lane between two deliveries is never seen as a free one.
    """
    wanted = {"ids": [ending.delivery.id for ending in endings]}
    running = {(row.id, row.attempt) for row in connection.execute(_RUNNING, wanted)}
    is_live = [(end.delivery.id, end.delivery.attempt) in running for end in endings]
    live = [end for end, lives in zip(endings, is_live, strict=True) if lives]
    if live:
        connection.execute(_END, [_end(ending) for ending in live])
        connection.execute(_INSERT_ATTEMPTS, [_attempt(ending) for ending in live])
        record_health(connection, [sign for ending in live if (sign := _sign(ending)) is not None])
    following = _claim_following(connection, live)
    return [
        Recorded(lives, following.get(end.delivery.id) if lives else None)
        for end, lives in zip(endings, is_live, strict=True)
    ]


def _claim_following(
    connection: Connection, endings: Sequence[DeliveryEnding]
) -> dict[str, ClaimedDelivery | None]:
    """Return what each lane goes on with, by the id of the delivery it has just made."""
    wishes = {
        ending.delivery.id: ending.then
        for ending in endings
        if ending.then is not None and isinstance(ending.following, Delivered)
    }
    if not wishes:
        return {}
    claimed = claim_next_many(connection, list(wishes.values()))
    return dict(zip(wishes, claimed, strict=True))


def _end(ending: DeliveryEnding) -> dict[str, Any]:
    following, delivery = ending.following, ending.delivery
    at = following.at if isinstance(following, RetryAt) else ending.now
    state = _state(following)
    is_failure = isinstance(following, RetryAt | Exhausted)
    return {
        "of_delivery": delivery.id,
        "state": state.value,
        "failures": delivery.failures + is_failure,
        "next_at": at,
        "dispatch_at": at,
        "ended_at": None if state is DeliveryState.PENDING else ending.now,
    }


def _state(following: Following) -> DeliveryState:
    if isinstance(following, Delivered):
        return DeliveryState.DELIVERED
    if isinstance(following, Exhausted):
        return DeliveryState.EXHAUSTED
    return DeliveryState.PENDING


def _attempt(ending: DeliveryEnding) -> dict[str, Any]:
    return {
        "delivery_id": ending.delivery.id,
        "number": ending.delivery.attempt,
        "started_at": ending.started_at,
        "duration_ms": max(ending.now - ending.started_at, 0),
        "status": ending.status,
        "error": ending.error,
        "body": ending.body,
    }


def _sign(ending: DeliveryEnding) -> HealthSign | None:
    """Return the verdict of the attempt on its endpoint's health."""
    following, endpoint_id = ending.following, ending.delivery.endpoint_id
    if endpoint_id is None or isinstance(following, HandedBack):
        return None
    is_gone = isinstance(following, Exhausted) and following.gone
    return HealthSign(endpoint_id, ending.now, ok=isinstance(following, Delivered), gone=is_gone)


RESCUE_GROUP = 500
LOST = "The worker that made this attempt was lost before it could report: it may have arrived."

_attempts = table(DeliveryAttempt)


def rescue(connection: Connection, now: int, owner: str | None = None) -> int:
    """Make lost deliveries due at once, under the same webhook-id; return their number.

    Lost are the deliveries whose lease expired, or those of `owner`, a worker that is known to be
    dead. One call rescues at most RESCUE_GROUP: if it returns as many, there may be more.
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
        .limit(RESCUE_GROUP)
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
            insert(_attempts), [_lost_attempt(row.id, row.attempt, now) for row in rows]
        )
    return len(rows)


def _lost_attempt(delivery_id: str, attempt: int, now: int) -> dict[str, Any]:
    return {
        "delivery_id": delivery_id,
        "number": attempt,
        "started_at": now,  # when it began is lost with the worker
        "duration_ms": None,
        "status": None,
        "error": LOST,
        "body": None,
    }
