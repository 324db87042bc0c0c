"""Which of a workspace's jobs a list shows: by what their callers said of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, case, cast, exists, func
from sqlalchemy.dialects.postgresql import JSONB

from broker.jobs.states import JobState
from broker.storage.tables import Job, JobPayload, table

_jobs = table(Job)
_payloads = table(JobPayload)


@dataclass(frozen=True, slots=True)
class JobSearch:
    """What the jobs have in common; None and empty mean anything."""

    state: JobState | None = None
    model: str | None = None
    api_key_id: str | None = None
    app: str | None = None
    end_user: str | None = None
    session_id: str | None = None
    trace_id: str | None = None
    owner: str | None = None  # the key whose jobs alone are shown
    metadata: Mapping[str, str] = field(default_factory=dict)


EVERY_JOB = JobSearch()


def narrow(query: Select[Any], search: JobSearch, dialect: str) -> Select[Any]:
    """Add the conditions to a query over jobs.

    State, user and session are indexed; metadata and trace are read from each job, newest first.
    """
    for name in ("model", "api_key_id", "app", "end_user", "session_id"):
        value = getattr(search, name)
        if value is not None:
            query = query.where(_jobs.c[name] == value)
    if search.owner is not None:
        query = query.where(_jobs.c.api_key_id == search.owner)
    if search.state is not None:
        query = query.where(_jobs.c.state == search.state.value)
    said = {("metadata", name): value for name, value in search.metadata.items()}
    if search.trace_id is not None:
        said["trace", "trace_id"] = search.trace_id
    if said:
        query = query.join(_payloads, _payloads.c.job_id == _jobs.c.id)
    for path, value in said.items():
        query = query.where(_says(path, value, dialect))
    return query


def _says(path: tuple[str, str], value: str, dialect: str) -> Any:
    """Whether the job's `extra` has this text at this path."""
    if dialect == "postgresql":
        extra = _payloads.c.extra  # JSONB refuses a NUL, and one such job would end every search
        readable = case((extra.contains(r"\u0000", autoescape=True), None), else_=extra)
        return func.jsonb_extract_path_text(cast(readable, JSONB), *path) == value
    group, name = path  # SQLite's paths cannot spell every name
    pairs = func.json_each(_payloads.c.extra, f"$.{group}").table_valued("key", "value")
    return exists().where(pairs.c.key == name, pairs.c.value == value)
