"""OpenRouter's error envelope, also for jobs that ended without an answer."""

from broker.completion import ErrorType, Json
from broker.enums import JobState
from broker.errors import http_status

PROVIDER_CREDENTIALS = frozenset(
    {ErrorType.AUTHENTICATION, ErrorType.PAYMENT_REQUIRED, ErrorType.PERMISSION_DENIED}
)
"""Errors about the installation's account: the caller sees an unavailable provider."""

SILENT = (
    "The provider fell silent after the request was sent and may have billed it; the job waits for "
    "review, as its on_unknown policy requires."
)


def envelope(status: int, message: str, metadata: Json, param: str | None = None) -> Json:
    """Return OpenRouter's error body (its docs, "Errors"); `param` is OpenAI's addition."""
    error: Json = {"code": status, "message": message, "metadata": metadata}
    if param is not None:
        error["param"] = param
    return {"error": error}


def describe_job_failure(end: Json) -> tuple[int, str, Json]:
    """Return status, message and metadata for the end event of a job without an answer."""
    status = end["status"]
    if status == JobState.CANCELLED:
        return _describe_own(ErrorType.CANCELLED, "The job was cancelled.")
    if status == JobState.NEEDS_REVIEW:
        return _describe_own(ErrorType.NEEDS_REVIEW, SILENT)
    return provider_error(end.get("error") or {"message": "The job failed."})


def _describe_own(error_type: ErrorType, message: str) -> tuple[int, str, Json]:
    return http_status(error_type), message, {"error_type": error_type.value}


def provider_error(error: Json) -> tuple[int, str, Json]:
    """Return status, message and metadata for the stored error of a failed job."""
    error_type = ErrorType(error.get("error_type", "unmapped"))
    metadata: Json = {"error_type": error_type.value}
    if error_type in PROVIDER_CREDENTIALS and error.get("provider"):
        metadata = {
            "error_type": ErrorType.PROVIDER_UNAVAILABLE.value,
            "provider_error_type": error_type.value,
        }
    metadata["provider_name"] = error.get("provider")
    metadata["provider_code"] = error.get("provider_code") or error.get("http_status")
    metadata["raw"] = error.get("raw")
    status = http_status(ErrorType(metadata["error_type"]))
    return status, error["message"], {k: v for k, v in metadata.items() if v is not None}
