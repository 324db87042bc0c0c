"""The body of POST /batches, apart from `requests`, which are read as they come in."""

from typing import Annotated, Any, Literal, TypeAlias

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field

from api.core.bodies import DescribedBody, JsonBody
from api.jobs.schemas import CHAT_EXAMPLE, Metadata
from api.webhooks.schemas import JobWebhook, Url
from broker.batches import OnError


class ExpiresAfter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Field(ge=3600, le=30 * 86400)]


class BatchRequest(BaseModel):
    """OpenAI's fields, OpenRouter's (`model`, `provider`, `callback_url`), and our own."""

    model_config = ConfigDict(extra="forbid")

    input_file_id: str | None = None
    requests: list[dict[str, Any]] | None = Field(None, description="Instead of input_file_id.")
    endpoint: str | None = None
    completion_window: str = "24h"
    metadata: Metadata | None = None
    output_expires_after: ExpiresAfter | None = None
    model: Annotated[str, Field(min_length=1)] | None = None  # for lines that name none
    provider: dict[str, Any] | None = None
    service_tier: str | None = None
    max_cost: Annotated[float, Field(gt=0)] | None = None  # US dollars
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    max_concurrency: Annotated[int, Field(ge=1, le=100_000)] | None = None
    on_error: OnError = OnError.CONTINUE
    dedupe: bool = False
    dry_run: bool = False
    webhook: JobWebhook | None = None
    callback_url: Url | None = None  # short for webhook.url


class RetryRequest(BaseModel):
    """The body of POST /batches/{id}/retry: all of it is optional."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, Field(min_length=1)] | None = None  # instead of each line's own
    completion_window: str | None = None
    max_cost: Annotated[float, Field(gt=0)] | None = None


BATCH_BODY = DescribedBody(
    BatchRequest,
    {
        "endpoint": "/v1/chat/completions",
        "requests": [{"custom_id": "first", "body": CHAT_EXAMPLE}],
    },
)

BatchRetryBody: TypeAlias = Annotated[
    RetryRequest, Depends(JsonBody(RetryRequest, {}, required=False))
]
