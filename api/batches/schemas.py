"""Bodies of the routes under /batches. `requests` are read as they arrive (`read_body`)."""

from typing import Annotated, Any, Literal, TypeAlias

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field

from api.core.bodies import DescribedBody, JsonBody
from api.jobs.schemas import CHAT_EXAMPLE, Metadata
from api.webhooks.schemas import JobWebhook, Url
from broker.batches import OnError

ModelName = Annotated[str, Field(min_length=1)]
UsdAmount = Annotated[float, Field(gt=0)]


class ExpiresAfter(BaseModel):
    """The time after which files are deleted."""

    model_config = ConfigDict(extra="forbid")

    anchor: Literal["created_at"] = Field(
        "created_at", description="The moment from which `seconds` count."
    )
    seconds: int = Field(ge=3600, le=30 * 86400, description="The time in seconds.")


class BatchRequest(BaseModel):
    """A batch: fields of OpenAI, of OpenRouter (`model`, `provider`, …) and of Waybill."""

    model_config = ConfigDict(extra="forbid")

    input_file_id: str | None = Field(None, description="The uploaded file with the requests.")
    requests: list[dict[str, Any]] | None = Field(
        None, description="The requests themselves, in place of `input_file_id`."
    )
    endpoint: str | None = Field(
        None, description="The operation of lines that name none, e.g. `/v1/embeddings`."
    )
    completion_window: str = Field(
        "24h", description="The time that the batch may take: 15m to 7d."
    )
    metadata: Metadata | None = Field(None, description="Your own names and values.")
    output_expires_after: ExpiresAfter | None = Field(
        None, description="The time after which the result files are deleted."
    )
    model: ModelName | None = Field(None, description="The model of lines that name none.")
    provider: dict[str, Any] | None = Field(
        None, description="The routing preferences of lines that have none."
    )
    service_tier: str | None = Field(None, description="The service tier of lines that name none.")
    max_cost: UsdAmount | None = Field(
        None, description="The most that the batch may cost, in US dollars."
    )
    priority: int = Field(
        0, ge=-1000, le=1000, description="Jobs of a workspace with a higher priority start first."
    )
    max_concurrency: int | None = Field(
        None, ge=1, le=100_000, description="The most lines that run at the same time."
    )
    on_error: OnError = Field(
        OnError.CONTINUE, description="What happens to the other lines when a line fails."
    )
    dedupe: bool = Field(default=False, description="Whether identical lines share one call.")
    dry_run: bool = Field(
        default=False, description="Whether to return a forecast and write nothing."
    )
    webhook: JobWebhook | None = Field(
        None, description="The webhook that is sent when the batch ends."
    )
    callback_url: Url | None = Field(None, description="Short for `webhook.url`.")


class RetryRequest(BaseModel):
    """Options for the lines that run again."""

    model_config = ConfigDict(extra="forbid")

    model: ModelName | None = Field(
        None, description="The model of all lines, in place of their own."
    )
    completion_window: str | None = Field(
        None, description="The time that the new batch may take; that of the first without it."
    )
    max_cost: UsdAmount | None = Field(
        None, description="The most that the new batch may cost, in US dollars."
    )


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
