"""The end of a job as a value, and texts of providers prepared for storage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from broker.billing.ledger import HeldJob
from broker.completion import Failure, Json
from broker.enums import Dialect, JobState
from broker.lifecycle.claims import ClaimedJob
from broker.usage import Consumption


class EndingJob(HeldJob, Protocol):
    """A row of `jobs` with the columns that its end needs: the hold and the receivers."""

    webhook: str | None
    dialect: Dialect | None
    batch_id: str | None
    coalesced_with: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The event that a job reached a terminal state, or needs review."""

    job: EndingJob
    state: JobState
    now: int
    consumed: Consumption | None = None  # the addition to the usage


def encode_failure(job: ClaimedJob, failure: Failure) -> str:
    """Return the JSON of a failure for `jobs.error`."""
    error: Json = {
        "error_type": failure.error_type.value,
        "message": failure.message,
        "provider": job.endpoint.provider,
        "provider_code": failure.provider_code,
        "http_status": failure.http_status,
        "retry_after": failure.retry_after,
        "raw": failure.raw,
    }
    details = {name: value for name, value in error.items() if value is not None}
    return orjson.dumps(clean_row(details)).decode()


def clean_row(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row whose texts can be stored (see `clean_text`)."""
    return {
        name: clean_text(value) if isinstance(value, str) else value
        for name, value in columns.items()
    }


def clean_text(text: str) -> str:
    """Remove from a provider's text what PostgreSQL or JSON refuse: NUL, lone surrogates."""
    return text.replace("\0", "").encode(errors="replace").decode()
