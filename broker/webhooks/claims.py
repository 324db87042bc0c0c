"""Claim deliveries under a lease (pending → running), within the rate limits of endpoints."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, bindparam, select, update

from broker.enums import DeliveryState, Scheme
from broker.storage.tables import Delivery, WebhookEndpoint, WebhookSecret, columns, table

MINUTE_MS = 60_000

_deliveries = table(Delivery)
_endpoints = table(WebhookEndpoint)
_SET_PACE = (
    update(_endpoints)
    .where(_endpoints.c.id == bindparam("of_endpoint"))
    .values(paced_until=bindparam("until"))
)
_DEFER = (
    update(_deliveries)
    .where(_deliveries.c.id == bindparam("of_delivery"))
    .values(next_at=bindparam("at"), dispatch_at=bindparam("at"))
)


class Sendable(Protocol):
    """A row of `deliveries` that is due."""

    id: str
    endpoint_id: str | None


class PacedEndpoint(Protocol):
    """A row of `webhook_endpoints` with its pace."""

    id: str
    rate_limit: int | None  # a minute


Row = TypeVar("Row", bound=Sendable)


def apply_rate_limits(
    connection: Connection, rows: Sequence[Row], endpoints: Mapping[str, PacedEndpoint], now: int
) -> list[Row]:
    """Return the rows that may be sent now; defer the others."""
    limited: defaultdict[str, list[Row]] = defaultdict(list)
    gaps: dict[str, float] = {}
    allowed: list[Row] = []
    for row in rows:
        endpoint = endpoints.get(row.endpoint_id or "")
        if endpoint is None or not endpoint.rate_limit:
            allowed.append(row)
        else:
            gaps[endpoint.id] = MINUTE_MS / endpoint.rate_limit
            limited[endpoint.id].append(row)
    for endpoint_id in sorted(limited):
        gap = gaps[endpoint_id]
        allowed += _admit(connection, limited[endpoint_id], endpoint_id, gap, now)
    return allowed


def _admit(
    connection: Connection, rows: Sequence[Row], endpoint_id: str, gap: float, now: int
) -> Sequence[Row]:
    """Return the deliveries that are due at one per `gap` (ms); defer the others."""
    query = select(_endpoints.c.paced_until).where(_endpoints.c.id == endpoint_id)
    start = max(connection.execute(query.with_for_update()).scalar_one(), now)
    times = [(row, start + int(position * gap)) for position, row in enumerate(rows)]
    admitted = [row for row, at in times if at <= now]
    later = [{"of_delivery": row.id, "at": at} for row, at in times if at > now]
    if admitted:
        until = start + int(len(admitted) * gap)
        connection.execute(_SET_PACE, {"of_endpoint": endpoint_id, "until": until})
    if later:
        connection.execute(_DEFER, later)
    return admitted


_secrets = table(WebhookSecret)
_IDS: Any = bindparam("ids", expanding=True)
_PENDING = _deliveries.c.state == DeliveryState.PENDING.value


@dataclass(frozen=True, slots=True)
class ClaimDelivery:
    """A claim of one delivery by a worker."""

    delivery_id: str
    owner: str
    now: int
    lease_ms: int


@dataclass(frozen=True, slots=True)
class ClaimNext:
    """A claim of the next due delivery of a receiver that has just accepted one."""

    receiver: str
    owner: str
    now: int
    lease_ms: int


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery under a lease, with all that an attempt needs."""

    id: str
    event_id: str
    event_type: str
    subject_id: str
    workspace_id: str
    endpoint_id: str | None
    receiver: str
    url: str
    payload: bytes
    attempt: int
    failures: int
    scheme: Scheme
    secrets: Sequence[str]  # encrypted; empty before the workspace has one
    headers: str  # encrypted JSON, or ""


class DueDelivery(Sendable, Protocol):
    """A row of `deliveries` with all that an attempt needs of it."""

    event_id: str
    event_type: str
    subject_id: str
    workspace_id: str
    receiver: str
    url: str | None
    payload: bytes
    attempt: int
    failures: int


class SigningSecrets(Protocol):
    """The encrypted secrets that sign."""

    @property
    def secret(self) -> str: ...
    @property
    def previous_secret(self) -> str | None: ...
    @property
    def previous_until(self) -> int | None: ...


class Signing(Protocol):
    """A row with the encrypted secrets that sign."""

    secret: str
    previous_secret: str | None
    previous_until: int | None


class OpenEndpoint(PacedEndpoint, Signing, Protocol):
    """A row of `webhook_endpoints` with all that an attempt needs of it."""

    url: str
    scheme: Scheme
    headers: str


class WorkspaceSecret(Signing, Protocol):
    """A row of `webhook_secrets`."""

    workspace_id: str


_SELECT_DUE = select(*columns(DueDelivery, _deliveries)).where(
    _deliveries.c.id.in_(_IDS), _PENDING, _deliveries.c.next_at <= bindparam("now")
)
_LOCK_DUE = _SELECT_DUE.order_by(_deliveries.c.id).with_for_update(skip_locked=True)
_LOCK_NEXT = (
    select(*columns(DueDelivery, _deliveries))
    .where(
        _PENDING,
        _deliveries.c.receiver == bindparam("receiver"),
        _deliveries.c.dispatch_at <= bindparam("now"),
    )
    .order_by(_deliveries.c.dispatch_at, _deliveries.c.created_at, _deliveries.c.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    update(_deliveries)
    .where(_deliveries.c.id.in_(_IDS))
    .values(
        state=DeliveryState.RUNNING.value,
        attempt=_deliveries.c.attempt + 1,
        lease_owner=bindparam("owner"),
        lease_expires_at=bindparam("lease_expires"),
    )
)
_CANCEL = (
    update(_deliveries)
    .where(_deliveries.c.id.in_(_IDS))
    .values(state=DeliveryState.CANCELLED.value, ended_at=bindparam("now"))
)
_OPEN_ENDPOINTS = select(*columns(OpenEndpoint, _endpoints)).where(
    _endpoints.c.id.in_(_IDS), _endpoints.c.disabled.is_(False)
)
_SECRETS = select(*columns(WorkspaceSecret, _secrets)).where(_secrets.c.workspace_id.in_(_IDS))


def claim_many(
    connection: Connection, claims: Sequence[ClaimDelivery]
) -> Sequence[ClaimedDelivery | None]:
    """Claim the deliveries that are pending, due and within their rate limit; None for others.

    All claims of a call come from one worker process.
    """
    now = max(claim.now for claim in claims)
    parameters = {"ids": [claim.delivery_id for claim in claims], "now": now}
    claimed = _claim(connection, connection.execute(_LOCK_DUE, parameters).all(), claims[0], now)
    by_id = {delivery.id: delivery for delivery in claimed}
    return [by_id.pop(claim.delivery_id, None) for claim in claims]


def claim_next_many(
    connection: Connection, claims: Sequence[ClaimNext]
) -> Sequence[ClaimedDelivery | None]:
    """Claim due, unpublished deliveries of these receivers, the oldest first."""
    now = max(claim.now for claim in claims)
    rows: list[DueDelivery] = []
    for receiver, count in Counter(claim.receiver for claim in claims).items():
        parameters = {"receiver": receiver, "now": now, "limit": count}
        rows += connection.execute(_LOCK_NEXT, parameters)
    claimed: defaultdict[str, list[ClaimedDelivery]] = defaultdict(list)
    for delivery in _claim(connection, rows, claims[0], now):
        claimed[delivery.receiver].append(delivery)
    return [claimed[claim.receiver].pop(0) if claimed[claim.receiver] else None for claim in claims]


def _claim(
    connection: Connection, rows: Sequence[DueDelivery], claim: ClaimDelivery | ClaimNext, now: int
) -> list[ClaimedDelivery]:
    """Claim these rows within rate limits; cancel those whose endpoint is gone or disabled."""
    if not rows:
        return []
    ids = {row.endpoint_id for row in rows if row.endpoint_id is not None}
    found = connection.execute(_OPEN_ENDPOINTS, {"ids": sorted(ids)})
    endpoints: dict[str, OpenEndpoint] = {row.id: row for row in found}
    closed = [row.id for row in rows if row.endpoint_id and row.endpoint_id not in endpoints]
    if closed:
        connection.execute(_CANCEL, {"ids": closed, "now": now})
    open_rows = [row for row in rows if row.id not in closed]
    allowed = apply_rate_limits(connection, open_rows, endpoints, now)
    if not allowed:
        return []
    lease = {"owner": claim.owner, "lease_expires": now + claim.lease_ms}
    connection.execute(_CLAIM, {"ids": [row.id for row in allowed], **lease})
    workspaces = {row.workspace_id for row in allowed if row.endpoint_id is None}
    found = connection.execute(_SECRETS, {"ids": sorted(workspaces)})
    secrets: dict[str, WorkspaceSecret] = {row.workspace_id: row for row in found}
    return [
        _build_claim(row, endpoints.get(row.endpoint_id or ""), secrets.get(row.workspace_id), now)
        for row in allowed
    ]


def _build_claim(
    row: DueDelivery,
    endpoint: OpenEndpoint | None,
    workspace_secret: WorkspaceSecret | None,
    now: int,
) -> ClaimedDelivery:
    secret: Signing | None = workspace_secret if endpoint is None else endpoint
    url = row.url if endpoint is None else endpoint.url
    assert url is not None  # a delivery without an endpoint has a URL
    return ClaimedDelivery(
        id=row.id,
        event_id=row.event_id,
        event_type=row.event_type,
        subject_id=row.subject_id,
        workspace_id=row.workspace_id,
        endpoint_id=row.endpoint_id,
        receiver=row.receiver,
        url=url,
        payload=row.payload,
        attempt=row.attempt + 1,
        failures=row.failures,
        scheme=Scheme.STANDARD if endpoint is None else Scheme(endpoint.scheme),
        secrets=tuple(list_valid_secrets(secret, now)) if secret is not None else (),
        headers="" if endpoint is None else endpoint.headers,
    )


def list_valid_secrets(row: SigningSecrets, now: int) -> Iterator[str]:
    """Yield the encrypted secrets that sign now: the current one, then the one it replaces."""
    yield row.secret
    if row.previous_secret is not None and now < (row.previous_until or 0):
        yield row.previous_secret
