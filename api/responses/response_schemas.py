"""Answers of the Responses API, as the OpenAPI document describes them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Open(BaseModel):
    """An answer that may have more fields."""

    model_config = ConfigDict(extra="allow")


class ResponseItem(_Open):
    """An item of the input or the output. Further fields depend on its type."""

    id: str = Field(description="The id of the item, e.g. `msg_…`.")
    type: str = Field(description="`message`, `reasoning`, `function_call`, `custom_tool_call`, …")


class ResponseErrorDetails(_Open):
    """The reason why there is no answer."""

    code: str = Field(description="OpenAI's word for the error, e.g. `server_error`.")
    message: str = Field(description="What went wrong, and what to do.")
    metadata: dict[str, Any] | None = Field(None, description="More about the error.")


class IncompleteDetails(_Open):
    """The reason why the answer is incomplete."""

    reason: str = Field(description="`max_output_tokens` or `content_filter`.")


class ResponseUsage(_Open):
    """Tokens and cost of a response."""

    input_tokens: int = Field(description="Tokens of the input, cached ones included.")
    input_tokens_details: dict[str, int] = Field(
        description="`cached_tokens` and `cache_write_tokens`."
    )
    output_tokens: int = Field(description="Tokens of the output, reasoning included.")
    output_tokens_details: dict[str, int] = Field(description="`reasoning_tokens`.")
    total_tokens: int = Field(description="The sum of both.")
    cost: float | None = Field(None, description="The cost in US dollars.")


class ResponseObject(_Open):
    """A response. It repeats the fields of its request."""

    id: str = Field(description="The id of the response: that of its job with `resp_`.")
    object: Literal["response"] = Field(description="Always `response`.")
    created_at: int = Field(description="The time of the request, in Unix seconds.")
    completed_at: int | None = Field(
        description="The time at which it was completed, in Unix seconds."
    )
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"] = (
        Field(description="The state of the response.")
    )
    error: ResponseErrorDetails | None = Field(description="The error of a failed response.")
    incomplete_details: IncompleteDetails | None = Field(
        description="The reason why the answer is incomplete."
    )
    model: str = Field(description="The slug of the model.")
    output: list[ResponseItem] = Field(description="The items of the answer.")
    usage: ResponseUsage | None = Field(description="Tokens and cost, once it has ended.")
    provider: str | None = Field(None, description="The provider that answered.")
    background: bool = Field(description="Whether it was created in the background.")
    previous_response_id: str | None = Field(description="The response that it continues.")
    metadata: dict[str, Any] = Field(description="Your own names and values.")


class DeletedResponse(BaseModel):
    """A response whose content was deleted."""

    id: str = Field(description="The id of the response.")
    object: Literal["response"] = Field(description="Always `response`.")
    deleted: Literal[True] = Field(description="Always true.")


class InputItemPage(BaseModel):
    """A page of the items of a response's input."""

    object: Literal["list"] = Field(description="Always `list`.")
    data: list[ResponseItem] = Field(description="The items.")
    first_id: str | None = Field(description="The id of the first item of the page.")
    last_id: str | None = Field(description="The id of the last item: `after` for the next page.")
    has_more: bool = Field(description="Whether more items follow.")


class InputTokens(BaseModel):
    """The size of an input."""

    object: Literal["response.input_tokens"] = Field(description="The kind of the object.")
    input_tokens: int = Field(description="An estimate of the tokens of the input.")
