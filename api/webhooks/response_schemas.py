"""Answers of the routes under /webhooks, as the OpenAPI document describes them.

Times are Unix seconds.
"""

from typing import Any

from pydantic import BaseModel, Field


class WebhookEndpoint(BaseModel):
    """A webhook endpoint, without its secret."""

    id: str = Field(description="The id of the endpoint (`whep_…`).")
    object: str = Field(description="`webhook_endpoint`.")
    url: str = Field(description="The URL that deliveries are sent to.")
    description: str = Field(description="The owner's own words.")
    events: list[str] = Field(description="The types of events that are delivered; empty for all.")
    payload: str = Field(description="`thin` or `full`.")
    scheme: str = Field(description="The headers of a delivery: `standard` or `openrouter`.")
    signature: str = Field(description="`v1` (HMAC) or `v1a` (Ed25519).")
    public_key: str | None = Field(description="The public key of a `v1a` signature.")
    header_names: list[str] = Field(description="The names of the additional headers.")
    rate_limit: int | None = Field(description="The most deliveries a minute.")
    disabled: bool = Field(description="Whether nothing is delivered.")
    disabled_reason: str | None = Field(description="Why the endpoint is disabled.")
    disabled_at: float | None = Field(description="The time when it was disabled.")
    failing_since: float | None = Field(
        description="The time of the first of the failures that have not ended."
    )
    previous_secret_until: float | None = Field(
        description="The time until which the previous secret signs, too."
    )
    created_at: float = Field(description="The time of creation.")


class WebhookEndpointWithSecret(WebhookEndpoint):
    """A webhook endpoint with its secret, which is shown once."""

    secret: str | None = Field(
        None, description="The secret; absent where only the public key is shown."
    )


class WebhookEndpointList(BaseModel):
    """The endpoints of a workspace, oldest first."""

    object: str = Field(description="`list`.")
    data: list[WebhookEndpoint] = Field(description="The endpoints.")


class DeletedWebhookEndpoint(BaseModel):
    """The endpoint that was deleted."""

    id: str = Field(description="The id of the endpoint.")
    object: str = Field(description="`webhook_endpoint`.")
    deleted: bool = Field(description="True.")


class WebhookSecret(BaseModel):
    """The secret of a workspace."""

    object: str = Field(description="`webhook_secret`.")
    secret: str = Field(description="The secret (`whsec_…`).")
    previous_secret_until: float | None = Field(
        description="The time until which the previous secret signs, too."
    )
    created_at: float = Field(description="The time of creation.")


class WebhookDelivery(BaseModel):
    """A delivery, without its payload."""

    id: str = Field(description="The id of the delivery (`dlv_…`).")
    object: str = Field(description="`webhook_delivery`.")
    status: str = Field(description="The state of the delivery.")
    event_id: str = Field(description="The id of the event, which is the header `webhook-id`.")
    event_type: str = Field(description="The type of the event.")
    subject_id: str = Field(description="The id of the job or batch that the event is about.")
    endpoint_id: str | None = Field(
        description="The id of the endpoint; null for the webhook of a job."
    )
    url: str | None = Field(description="A job's own URL; null where an endpoint has it.")
    attempt: int = Field(description="The number of attempts.")
    next_attempt_at: float | None = Field(description="The time of the next attempt.")
    created_at: float = Field(description="The time of creation.")
    ended_at: float | None = Field(description="The time of the end.")


class WebhookAttempt(BaseModel):
    """One attempt to deliver."""

    number: int = Field(description="1 for the first attempt.")
    started_at: float = Field(description="The time of the start.")
    duration_ms: int | None = Field(description="The time that it took, in milliseconds.")
    http_status: int | None = Field(description="The status that the receiver answered.")
    error: str | None = Field(description="Why it failed.")
    body: str | None = Field(description="The beginning of what the receiver answered.")


class WebhookDeliveryDetails(WebhookDelivery):
    """A delivery with its payload and its attempts."""

    payload: dict[str, Any] = Field(description="The JSON that is sent.")
    attempts: list[WebhookAttempt] = Field(description="The attempts, in order.")


class WebhookDeliveryPage(BaseModel):
    """A page of deliveries, newest first."""

    object: str = Field(description="`list`.")
    data: list[WebhookDelivery] = Field(description="The deliveries.")
    first_id: str | None = Field(description="The id of the first delivery of the page.")
    last_id: str | None = Field(description="The last id: `after` of the next page.")
    has_more: bool = Field(description="Whether there is a next page.")


class WebhookReplay(BaseModel):
    """The number of deliveries that are sent again."""

    object: str = Field(description="`webhook_replay`.")
    deliveries: int = Field(description="The number of deliveries.")
