"""The bodies of errors in OpenAI's and Anthropic's shapes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from broker.completion import Json
from broker.enums import Dialect
from broker.jobs.error_envelope import envelope


@dataclass(frozen=True, slots=True)
class ApiError:
    """An error of the API before it has a shape."""

    status: int
    message: str
    metadata: Json  # with `error_type`
    param: str | None = None
    request_id: str | None = None

    @property
    def error_type(self) -> str:
        return str(self.metadata.get("error_type", "server"))

    @property
    def details(self) -> Json:
        """The metadata besides the error's type."""
        return {name: value for name, value in self.metadata.items() if name != "error_type"}


_OPENAI_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}


def build_responses_error(error: ApiError) -> Json:
    """Return OpenAI's error (its API reference, "Error codes"), with our metadata."""
    usual = "invalid_request_error" if error.status < 500 else "server_error"  # noqa: PLR2004
    body: Json = {
        "message": error.message,
        "type": _OPENAI_TYPES.get(error.status, usual),
        "param": error.param,
        "code": error.error_type,
    }
    return {"error": body | ({"metadata": error.details} if error.details else {})}


_ANTHROPIC_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def build_messages_error(error: ApiError) -> Json:
    """Return Anthropic's error (its API reference, "Errors"), with our metadata."""
    usual = "invalid_request_error" if error.status < 500 else "api_error"  # noqa: PLR2004
    body: Json = {
        "type": _ANTHROPIC_TYPES.get(error.status, usual),
        "message": error.message,
        "error_type": error.error_type,
    }
    if error.param is not None:
        body["param"] = error.param
    if error.details:
        body["metadata"] = error.details
    return {"type": "error", "error": body, "request_id": error.request_id}


def build_envelope(error: ApiError) -> Json:
    """Return OpenRouter's envelope."""
    return envelope(error.status, error.message, error.metadata, error.param)


_BUILDERS: Mapping[Dialect, Callable[[ApiError], Json]] = {
    Dialect.RESPONSES: build_responses_error,
    Dialect.MESSAGES: build_messages_error,
}


def build_error(error: ApiError, dialect: Dialect | None) -> Json:
    """Return the body of an error in a dialect; without one, OpenRouter's envelope."""
    return build_envelope(error) if dialect is None else _BUILDERS[dialect](error)
