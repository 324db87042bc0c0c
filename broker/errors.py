"""Everything Waybill itself refuses, as one tree.

An error has its HTTP status, its type, and the seconds after which the same request may succeed.

WaybillError
  InvalidRequestError        400  a field is wrong; `param` names it
    UnknownModelError        404  no such model slug
    NoEndpointError          404  the model exists, but nothing may serve this request
      ModalityError          404  … since none takes an image, file, … that is in it
    IdempotencyMismatchError 422  the key was used with another body, or by another API key
  AuthenticationError        401
  InsufficientCreditsError   402  the balance, or a key's limit
  PermissionDeniedError      403  the caller is known, and may not do this
  BudgetExceededError        403  the limit of a workspace or a member
  NotFoundError              404
  MethodNotAllowedError      405
  RequestTimeoutError        408  the body stalled
  ConflictError              409  the object is in another state
  GoneError                  410  it was there and is not kept any more
  PayloadTooLargeError       413
  UnsupportedEncodingError   415  the body is compressed
  RateLimitedError           429  too often, or too many at a time; `headers` say until when
  UnavailableError           503  a part we need (database, queue, file store) does not answer
    StorageFullError         507  … since its disk is full
"""

from collections.abc import Collection, Sequence
from typing import Any, ClassVar

from broker.completion import ErrorType


class WaybillError(Exception):
    """Base of all refusals: `message` is for the caller, and says what to do about it."""

    status: ClassVar[int] = 500
    error_type: ClassVar[ErrorType] = ErrorType.SERVER
    retry_after: ClassVar[int | None] = None  # None: the request must change, or somebody acts

    def __init__(
        self, message: str, *, param: str | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.metadata = metadata or {}
        self.headers: dict[str, str] = {}  # of the HTTP answer


class InvalidRequestError(WaybillError):
    status = 400
    error_type = ErrorType.INVALID_REQUEST


class UnknownModelError(InvalidRequestError):
    status = 404
    error_type = ErrorType.NOT_FOUND


class NoEndpointError(InvalidRequestError):
    status = 404
    error_type = ErrorType.NOT_FOUND


class ModalityError(NoEndpointError):
    """`needs` are the input modalities that no endpoint of the requested models takes."""

    def __init__(self, models: Sequence[str], needs: Collection[str]) -> None:
        self.models = models
        self.needs = needs
        inputs = " and ".join(sorted(needs))
        # The shape of OpenRouter's `availability` object (its docs, "Errors").
        availability = {
            "code": "constraint_filtered",
            "retryable": False,
            "requested_models": list(models),
            "constraint": {"field": "messages", "detail": f"input modalities: {inputs}"},
        }
        super().__init__(
            f"{', '.join(models)} cannot take {inputs} input, as far as it is served here.",
            param="messages",
            metadata={"availability": availability},
        )

    def with_alternatives(self, alternatives: Sequence[str]) -> "ModalityError":
        """Return this error with the models that could be asked instead."""
        error = ModalityError(self.models, self.needs)
        error.message += (
            f" Models that can: {', '.join(alternatives)}."
            if alternatives
            else " No configured model is known to."
        )
        error.metadata["availability"]["fallback_models"] = list(alternatives)
        return error


class IdempotencyMismatchError(InvalidRequestError):
    status = 422
    error_type = ErrorType.IDEMPOTENCY_MISMATCH


class AuthenticationError(WaybillError):
    status = 401
    error_type = ErrorType.AUTHENTICATION


class InsufficientCreditsError(WaybillError):
    status = 402
    error_type = ErrorType.PAYMENT_REQUIRED


class PermissionDeniedError(WaybillError):
    status = 403
    error_type = ErrorType.PERMISSION_DENIED


class BudgetExceededError(WaybillError):
    status = 403
    error_type = ErrorType.BUDGET_EXCEEDED


class NotFoundError(WaybillError):
    status = 404
    error_type = ErrorType.NOT_FOUND


class MethodNotAllowedError(WaybillError):
    status = 405
    error_type = ErrorType.METHOD_NOT_ALLOWED


class GoneError(WaybillError):
    status = 410
    error_type = ErrorType.GONE


class RequestTimeoutError(WaybillError):
    """The caller stopped in the middle of a body, whose rest is not waited for."""

    status = 408
    retry_after = 1
    error_type = ErrorType.REQUEST_TIMEOUT

    def __init__(self) -> None:
        super().__init__("The body stopped coming in the middle: send the request again.")
        self.headers = {"Connection": "close"}


class ConflictError(WaybillError):
    status = 409
    error_type = ErrorType.CONFLICT


class PayloadTooLargeError(WaybillError):
    status = 413
    error_type = ErrorType.PAYLOAD_TOO_LARGE


class UnsupportedEncodingError(WaybillError):
    status = 415
    error_type = ErrorType.UNSUPPORTED_ENCODING


class RateLimitedError(WaybillError):
    """A limit of ours, not a provider's. `headers` are OpenRouter's (its docs, "Limits")."""

    status = 429
    error_type = ErrorType.RATE_LIMIT_EXCEEDED
    retry_after = 1


class UnavailableError(WaybillError):
    status = 503
    error_type = ErrorType.SERVICE_UNAVAILABLE
    retry_after = 2


class StorageFullError(UnavailableError):
    status = 507
    error_type = ErrorType.STORAGE_FULL
    retry_after = 30


HTTP_STATUS: dict[ErrorType, int] = {
    ErrorType.AUTHENTICATION: 401,
    ErrorType.PAYMENT_REQUIRED: 402,
    ErrorType.PERMISSION_DENIED: 403,
    ErrorType.NOT_FOUND: 404,
    ErrorType.IMAGE_NOT_FOUND: 404,
    ErrorType.PRECONDITION_FAILED: 412,
    ErrorType.PAYLOAD_TOO_LARGE: 413,
    ErrorType.UNPROCESSABLE: 422,
    ErrorType.RATE_LIMIT_EXCEEDED: 429,
    ErrorType.SERVER: 500,
    ErrorType.UNMAPPED: 500,
    ErrorType.SERVICE_UNAVAILABLE: 503,
    ErrorType.STORAGE_FULL: 507,
    ErrorType.REQUEST_TIMEOUT: 408,
    ErrorType.METHOD_NOT_ALLOWED: 405,
    ErrorType.CONFLICT: 409,
    ErrorType.GONE: 410,
    ErrorType.UNSUPPORTED_ENCODING: 415,
    ErrorType.IDEMPOTENCY_MISMATCH: 422,
    ErrorType.BUDGET_EXCEEDED: 403,
    ErrorType.STILL_RUNNING: 504,
    ErrorType.DEADLINE_EXCEEDED: 504,
    ErrorType.CANCELLED: 499,
    ErrorType.NEEDS_REVIEW: 502,
    ErrorType.STREAM_INTERRUPTED: 502,
    ErrorType.WORKER_LOST: 502,
    ErrorType.PROVIDER_UNAVAILABLE: 502,
    ErrorType.PROVIDER_OVERLOADED: 503,
    ErrorType.TIMEOUT: 504,
}
"""The HTTP status of each error type, as OpenRouter has it; whatever is absent is a 400."""


def http_status(error_type: ErrorType) -> int:
    return HTTP_STATUS.get(error_type, 400)
