"""What a provider said, made fit to be stored."""

from collections.abc import Mapping
from typing import Any

import orjson

from broker.completion import Failure, Json
from broker.lifecycle.claims import ClaimedJob


def error_json(job: ClaimedJob, failure: Failure) -> str:
    """Return the error of a failed job, as it is stored and shown."""
    error: Json = {
        "error_type": failure.error_type.value,
        "message": failure.message,
        "provider": job.endpoint.provider,
        "provider_code": failure.provider_code,
        "http_status": failure.http_status,
        "retry_after": failure.retry_after,
        "raw": failure.raw,
    }
    said = {name: value for name, value in error.items() if value is not None}
    return orjson.dumps(stored(said)).decode()


def stored(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: storable(value) if isinstance(value, str) else value
        for name, value in columns.items()
    }


def storable(text: str) -> str:
    """A provider's words without what PostgreSQL or JSON refuse: NUL and half surrogate pairs."""
    return text.replace("\0", "").encode(errors="replace").decode()
