"""Webhook endpoints, their secrets, and all deliveries."""

from typing import Any, ClassVar

from sqlalchemy import Column, Index, LargeBinary, Text, false
from sqlmodel import Field

from broker.enums import DeliveryState, PayloadKind, Scheme, SignatureKind
from broker.storage.tables.columns import TableModel, big, enumeration, partial_index


class WebhookEndpoint(TableModel, table=True):
    """A webhook endpoint of a workspace. Secrets are encrypted."""

    __tablename__: ClassVar[Any] = "webhook_endpoints"

    id: str = Field(primary_key=True)  # whep_…
    workspace_id: str = Field(foreign_key="workspaces.id", index=True)
    url: str
    description: str = ""
    events: str = Field(sa_column=Column(Text, nullable=False))  # JSON list; empty = all
    payload: PayloadKind = Field(sa_column=enumeration(PayloadKind))
    scheme: Scheme = Field(sa_column=enumeration(Scheme))
    signature: SignatureKind = Field(sa_column=enumeration(SignatureKind))  # of its secret
    secret: str
    public_key: str | None = None  # of a v1a secret: what its receiver verifies with
    previous_secret: str | None = None
    previous_until: int | None = Field(default=None, sa_column=big(nullable=True))
    headers: str = Field(sa_column=Column(Text, nullable=False))  # encrypted JSON, "" = none
    rate_limit: int | None = None  # deliveries a minute
    paced_until: int = Field(sa_column=big())  # the moment of the next delivery it may be sent
    disabled: bool = False
    disabled_reason: str | None = None
    disabled_at: int | None = Field(default=None, sa_column=big(nullable=True))
    failing_since: int | None = Field(default=None, sa_column=big(nullable=True))
    created_at: int = Field(sa_column=big())


class WebhookSecret(TableModel, table=True):
    """The secret that signs deliveries to the URLs of a workspace's jobs. Encrypted."""

    __tablename__: ClassVar[Any] = "webhook_secrets"

    workspace_id: str = Field(primary_key=True, foreign_key="workspaces.id")
    secret: str
    previous_secret: str | None = None
    previous_until: int | None = Field(default=None, sa_column=big(nullable=True))
    created_at: int = Field(sa_column=big())


class Delivery(TableModel, table=True):
    """One event on its way to one receiver. Written by `broker.webhooks` only."""

    __tablename__: ClassVar[Any] = "deliveries"
    __table_args__: ClassVar[Any] = (
        # The dispatcher's question: to whom is something due, and how much is on its way?
        Index("ix_deliveries_due", "state", "dispatch_at", "receiver"),
        Index("ix_deliveries_receiver", "receiver", "state", "dispatch_at"),
        partial_index(
            "ix_deliveries_lease", "lease_expires_at", where="lease_expires_at IS NOT NULL"
        ),
        Index("ix_deliveries_workspace", "workspace_id", "id"),
        Index("ix_deliveries_subject", "subject_id"),
    )

    id: str = Field(primary_key=True)  # dlv_…
    event_id: str  # evt_…: the webhook-id, the same at every attempt and for every receiver
    workspace_id: str
    endpoint_id: str | None = None
    url: str | None = None  # of a job's own webhook; an endpoint has its own
    receiver: str  # endpoint or origin: those of one receiver share its concurrency
    event_type: str
    subject_id: str  # the job, batch or endpoint it is about
    payload: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    is_full: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    state: DeliveryState = Field(sa_column=enumeration(DeliveryState))
    attempt: int = 0  # number of the latest attempt; the fence of every running update
    failures: int = 0  # of this run through the schedule: the place in it
    next_at: int = Field(sa_column=big())  # not to be claimed before
    dispatch_at: int = Field(sa_column=big())  # when the dispatcher publishes it (again)
    lease_owner: str | None = None
    lease_expires_at: int | None = Field(default=None, sa_column=big(nullable=True))
    created_at: int = Field(sa_column=big())
    ended_at: int | None = Field(default=None, sa_column=big(nullable=True))


class DeliveryAttempt(TableModel, table=True):
    """One POST of a delivery, and what came back."""

    __tablename__: ClassVar[Any] = "delivery_attempts"

    delivery_id: str = Field(primary_key=True, foreign_key="deliveries.id")
    number: int = Field(primary_key=True)
    started_at: int = Field(sa_column=big())
    duration_ms: int | None = None  # None where its worker was lost
    status: int | None = None  # HTTP
    error: str | None = Field(default=None, sa_column=Column(Text))
    body: str | None = Field(default=None, sa_column=Column(Text))  # the answer's, cut
