"""Searches of jobs: what callers filter a list by, as conditions of a query."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, case, cast, exists, func
from sqlalchemy.dialects.postgresql import JSONB

from broker.enums import JobState
from broker.storage.tables import Job, JobPayload, table

_jobs = table(Job)
_payloads = table(JobPayload)


@dataclass(frozen=True, slots=True)
class JobSearch:
    """A filter of jobs; None and empty select everything."""

    state: JobState | None = None
    model: str | None = None
    provider: str | None = None
    api_key_id: str | None = None
    app: str | None = None
    end_user: str | None = None
    session_id: str | None = None
    trace_id: str | None = None
    preset: str | None = None  # the slug of the preset that the request named
    owner: str | None = None  # only the jobs of this key
    metadata: Mapping[str, str] = field(default_factory=dict)


EVERY_JOB = JobSearch()
WITH_ERROR = (JobState.FAILED, JobState.EXPIRED)
"""States of jobs that always have an error."""


def narrow(query: Select[Any], search: JobSearch, dialect: str) -> Select[Any]:
    """Add the conditions to a query over jobs.

    State, user and session are indexed; metadata and trace are read from each job, newest first.
    """
    for name in ("model", "provider", "api_key_id", "app", "end_user", "session_id"):
        value = getattr(search, name)
        if value is not None:
            query = query.where(_jobs.c[name] == value)
    if search.owner is not None:
        query = query.where(_jobs.c.api_key_id == search.owner)
    if search.state is not None:
        query = query.where(_jobs.c.state == search.state.value)
        if search.state in WITH_ERROR:
            query = query.where(_jobs.c.error.is_not(None))  # there is an index of these
    conditions = {("metadata", name): value for name, value in search.metadata.items()}
    if search.trace_id is not None:
        conditions["trace", "trace_id"] = search.trace_id
    if search.preset is not None:
        conditions["preset", "slug"] = search.preset
    if conditions:
        query = query.join(_payloads, _payloads.c.job_id == _jobs.c.id)
    for path, value in conditions.items():
        query = query.where(_build_condition(path, value, dialect))
    return query


def _build_condition(path: tuple[str, str], value: str, dialect: str) -> ColumnElement[bool]:
    """Return the condition that a job's `extra` has this text at this path."""
    if dialect == "postgresql":
        extra = _payloads.c.extra  # JSONB refuses a NUL, and one such job would end every search
        readable = case((extra.contains(r"\u0000", autoescape=True), None), else_=extra)
        return func.jsonb_extract_path_text(cast(readable, JSONB), *path) == value
    group, name = path  # SQLite's paths cannot spell every name
    pairs = func.json_each(_payloads.c.extra, f"$.{group}").table_valued("key", "value")
    return exists().where(pairs.c.key == name, pairs.c.value == value)
