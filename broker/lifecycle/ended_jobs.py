"""The ends of attempts and jobs as values, and texts of providers prepared for storage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import orjson
from sqlalchemy import Connection, bindparam, insert

from broker.billing.ledger import HeldJob
from broker.completion import Failure, Json, Timings
from broker.enums import Dialect, JobState
from broker.jobs.states import TERMINAL
from broker.lifecycle.claims import ClaimedJob
from broker.lifecycle.retries import Decision
from broker.storage.files import FileRow
from broker.storage.frequent_statements import FrequentInsert
from broker.storage.tables import Generation, table
from broker.usage import Consumption, GenerationRow

NO_LEASE: dict[str, Any] = {"lease_owner": None, "lease_expires_at": None}
END_VALUES = {"error": bindparam("error"), "ended_at": bindparam("ended_at")} | NO_LEASE
"""The columns that every end of a job sets, see `build_end_values`."""


def build_end_values(job_id: str, state: JobState, now: int, error: str | None) -> dict[str, Any]:
    """Return the parameters of an update that ends a job; `error` is JSON."""
    ended = now if state in TERMINAL else None
    return {"of_job": job_id, "error": error, "ended_at": ended}


class EndingJob(HeldJob, Protocol):
    """A row of `jobs` with the columns that its end needs: the hold and the receivers."""

    webhook: str | None
    dialect: Dialect | None
    batch_id: str | None
    coalesced_with: str | None


@dataclass(frozen=True, slots=True)
class Finished:
    """An attempt with an answer."""

    job: ClaimedJob
    now: int
    generation: GenerationRow
    response: bytes
    timings: Timings
    events: bytes | None = None  # a stream's event log
    files: Sequence[FileRow] = ()  # files to which the answer refers


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt without a complete answer, and the decision after it."""

    job: ClaimedJob
    now: int
    failure: Failure
    decision: Decision
    timings: Timings
    events: bytes | None = None
    generation: GenerationRow | None = None  # the sent part, if the caller pays for it
    announced: bool = True  # the worker publishes a retry; False: the dispatcher does
    upstream_id: str | None = None  # the provider's id of an answer that had begun


Ending: TypeAlias = Finished | Failed


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


_INSERT_GENERATIONS = FrequentInsert(insert(table(Generation)), GenerationRow._fields)


def insert_generations(connection: Connection, generations: Sequence[GenerationRow]) -> None:
    """Write generations, without what a database refuses in texts of providers."""
    _INSERT_GENERATIONS.run(connection, [clean_row(each._asdict()) for each in generations])


def clean_row(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row whose texts can be stored (see `clean_text`)."""
    return {
        name: clean_text(value) if isinstance(value, str) else value
        for name, value in columns.items()
    }


def clean_text(text: str) -> str:
    """Remove from a provider's text what PostgreSQL or JSON refuse: NUL, lone surrogates."""
    return text.replace("\0", "").encode(errors="replace").decode()
