"""Bodies and answers of Message Batches, as the OpenAPI document describes them."""

from typing import Any

from pydantic import BaseModel, Field

from broker.dialects.messages.schemas import MessagesBody


class BatchedMessage(BaseModel):
    """A request of a batch."""

    custom_id: str = Field(description="Your id of the request, which its result has.")
    params: MessagesBody = Field(description="The body of POST /messages.")


class MessageBatchRequest(BaseModel):
    """A batch of messages to create."""

    requests: list[BatchedMessage] = Field(description="The requests.")


class MessageBatchCounts(BaseModel):
    """The numbers of requests by their state."""

    processing: int = Field(description="Requests without a result.")
    succeeded: int = Field(description="Requests with a message.")
    errored: int = Field(description="Requests that failed.")
    canceled: int = Field(description="Requests that were cancelled.")
    expired: int = Field(description="Requests that were not run in time.")


class MessageBatch(BaseModel):
    """A batch of messages."""

    id: str = Field(description="The id of the batch (`msgbatch_…`).")
    type: str = Field(description="`message_batch`.")
    processing_status: str = Field(description="`in_progress`, `canceling` or `ended`.")
    request_counts: MessageBatchCounts = Field(description="The numbers of requests.")
    created_at: str = Field(description="The time of its creation (RFC 3339).")
    expires_at: str = Field(description="The time by which it ends.")
    cancel_initiated_at: str | None = Field(description="The time at which it was cancelled.")
    ended_at: str | None = Field(description="The time at which it ended.")
    archived_at: str | None = Field(description="Never set.")
    results_url: str | None = Field(description="The address of its results, once it has ended.")
    cost: float = Field(description="The cost so far in US dollars.")


class MessageBatchList(BaseModel):
    """A page of batches of messages."""

    data: list[MessageBatch] = Field(description="The batches, newest first.")
    has_more: bool = Field(description="Whether there are more after these.")
    first_id: str | None = Field(description="The id of the first batch of the page.")
    last_id: str | None = Field(description="The id of the last batch of the page.")


class DeletedMessageBatch(BaseModel):
    """A deleted batch of messages."""

    id: str = Field(description="The id of the batch.")
    type: str = Field(description="`message_batch_deleted`.")


class MessageBatchResult(BaseModel):
    """The result of a request of a batch."""

    custom_id: str | None = Field(description="Your id of the request.")
    result: dict[str, Any] = Field(
        description="`type`: `succeeded` (with `message`), `errored` (with `error`), `canceled` or "
        "`expired`."
    )
