"""The bodies of errors, in the shape of the API that a path belongs to.

OpenRouter's envelope is the rule. Routes that only Waybill has answer with problem details (RFC
9457), `/responses` with OpenAI's errors, and `/messages` with Anthropic's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, Field

from broker.completion import Json
from broker.dialects.errors import (
    ApiError,
    build_envelope,
    build_messages_error,
    build_responses_error,
)

PREFIXES = ("/api/v1", "/v1")
OWN_ROUTES = ("/route", "/jobs", "/compare", "/webhooks", "/audit", "/users")


class ErrorMetadata(BaseModel, extra="allow"):
    """More about an error. Errors of providers have further fields, e.g. `provider_name`."""

    error_type: str = Field(description="The kind of error, e.g. `rate_limit_exceeded`.")


class ErrorDetails(BaseModel):
    """Status, message and kind of an error."""

    code: int = Field(description="The HTTP status.")
    message: str = Field(description="What is wrong, and what to do.")
    param: str | None = Field(None, description="The field that is wrong; absent if unknown.")
    metadata: ErrorMetadata = Field(description="The kind of error, and more about it.")


class ErrorBody(BaseModel):
    """The body of an answer with a status of 400 or above (OpenRouter's shape)."""

    error: ErrorDetails = Field(description="What went wrong.")


class ProblemBody(BaseModel, extra="allow"):
    """The body of an error of a route that only Waybill has: problem details (RFC 9457)."""

    type: str = Field(
        description="The kind of error as a URN.", examples=["urn:waybill:error:not_found"]
    )
    title: str = Field(description="The kind of error in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong, and what to do.")
    param: str | None = Field(None, description="The field that is wrong; absent if unknown.")


class ResponsesErrorDetails(BaseModel, extra="allow"):
    """Message and kind of an error of the Responses API."""

    message: str = Field(description="What is wrong, and what to do.")
    type: str = Field(description="OpenAI's kind of error, e.g. `invalid_request_error`.")
    param: str | None = Field(description="The field that is wrong, if it is known.")
    code: str = Field(description="Waybill's kind of error, e.g. `rate_limit_exceeded`.")


class ResponsesErrorBody(BaseModel):
    """The body of an error of the Responses API (OpenAI's shape)."""

    error: ResponsesErrorDetails = Field(description="What went wrong.")


class MessagesErrorDetails(BaseModel, extra="allow"):
    """Message and kind of an error of the Messages API."""

    type: str = Field(description="Anthropic's kind of error, e.g. `invalid_request_error`.")
    message: str = Field(description="What is wrong, and what to do.")
    error_type: str = Field(description="Waybill's kind of error, e.g. `rate_limit_exceeded`.")


class MessagesErrorBody(BaseModel):
    """The body of an error of the Messages API (Anthropic's shape)."""

    type: str = Field("error", description="Always `error`.")
    error: MessagesErrorDetails = Field(description="What went wrong.")
    request_id: str | None = Field(None, description="The id of the request.")


def build_problem(error: ApiError) -> Json:
    """Return RFC 9457 problem details."""
    body: Json = {
        "type": f"urn:waybill:error:{error.error_type}",
        "title": error.error_type.replace("_", " "),
        "status": error.status,
        "detail": error.message,
    }
    if error.param is not None:
        body["param"] = error.param
    return body | error.details


@dataclass(frozen=True, slots=True)
class ErrorShape:
    """The shape of the errors of an API: how a body is built, and its model in OpenAPI."""

    build: Callable[[ApiError], Json]
    model: type[BaseModel]
    media_type: str = "application/json"


ENVELOPE = ErrorShape(build_envelope, ErrorBody)
PROBLEM = ErrorShape(build_problem, ProblemBody, "application/problem+json")

_SHAPES: Mapping[str, ErrorShape] = {
    **dict.fromkeys(OWN_ROUTES, PROBLEM),
    "/responses": ErrorShape(build_responses_error, ResponsesErrorBody),
    "/messages": ErrorShape(build_messages_error, MessagesErrorBody),
}


def find_shape(path: str) -> ErrorShape:
    """Return the shape of errors below a path."""
    prefix = next((each for each in PREFIXES if path.startswith(each)), None)
    if prefix is None:
        return ENVELOPE
    below = path.removeprefix(prefix)
    return next((shape for start, shape in _SHAPES.items() if below.startswith(start)), ENVELOPE)


def list_models() -> list[type[BaseModel]]:
    """Return the models of all shapes."""
    return list(dict.fromkeys(each.model for each in (ENVELOPE, *_SHAPES.values())))
