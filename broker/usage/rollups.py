"""Add usage to the sums of its hour, day and month, by one upsert in the settling transaction.

Rows are written in the order of their keys, so that two processes which add to the same rows wait
for each other and never deadlock.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from broker.storage.frequent_statements import FrequentInsert
from broker.storage.tables import UsageRollup, table
from broker.usage.periods import rollup_periods

_rollups = table(UsageRollup)


class GenerationRow(NamedTuple):
    """A row of `generations`: usage and cost of the successful attempt of a job."""

    id: str
    job_id: str
    workspace_id: str
    attempt: int
    provider: str
    model: str
    streamed: bool
    cost_nanos: int  # charged to the workspace
    duration_ms: int
    created_at: int  # Unix milliseconds
    upstream_id: str | None = None
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    usage_estimated: bool = False
    is_byok: bool = False
    byok_cost_nanos: int = 0  # charged by the provider to the workspace's own account
    first_token_ms: int | None = None


class RollupKey(NamedTuple):
    """The key of a row of `usage_rollups`."""

    workspace_id: str
    period: str  # hour, day, month
    starts_at: int  # Unix milliseconds
    api_key_id: str
    model: str
    provider: str
    app: str  # "" = none
    end_user: str  # "" = none


class UsageCounts(NamedTuple):
    """The sums in a row of `usage_rollups`."""

    requests: int = 0
    failures: int = 0
    prompt_tokens: int = 0  # cached ones included
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    cost_nanos: int = 0
    byok_cost_nanos: int = 0
    duration_ms: int = 0
    first_token_ms: int = 0
    first_tokens: int = 0  # answers with a measured first_token_ms

    def plus(self, other: "UsageCounts") -> "UsageCounts":
        """Return the sums of both."""
        return UsageCounts._make(map(int.__add__, self, other))


class CountedJob(Protocol):
    """The columns of a job by which its usage is summed."""

    workspace_id: str
    api_key_id: str
    app: str | None
    end_user: str | None


@dataclass(frozen=True, slots=True)
class Consumption:
    """The end of a job, with its generation, or None for a failure."""

    job: CountedJob
    model: str
    provider: str
    now: int
    generation: GenerationRow | None

    @classmethod
    def of(cls, job: CountedJob, generation: GenerationRow, now: int) -> "Consumption":
        """Return the consumption of an answer."""
        return cls(job, generation.model, generation.provider, now, generation)


def _upsert(insert: Any) -> Any:
    statement = insert(_rollups)
    return statement.on_conflict_do_update(
        index_elements=[_rollups.c[name] for name in RollupKey._fields],
        set_={name: _rollups.c[name] + statement.excluded[name] for name in UsageCounts._fields},
    )


_UPSERTS = {
    dialect: FrequentInsert(_upsert(insert), RollupKey._fields + UsageCounts._fields)
    for dialect, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}


def add(connection: Connection, consumptions: Sequence[Consumption]) -> None:
    """Add consumptions to their sums."""
    if not consumptions:
        return
    sums: dict[RollupKey, UsageCounts] = defaultdict(UsageCounts)
    for each in consumptions:
        counts = _count(each.generation)
        for period, starts_at in rollup_periods(each.now):
            key = _key(each, period, starts_at)
            sums[key] = sums[key].plus(counts)
    rows = [key._asdict() | counts._asdict() for key, counts in sorted(sums.items())]
    _UPSERTS[connection.dialect.name].run(connection, rows)


def _key(each: Consumption, period: str, starts_at: int) -> RollupKey:
    job = each.job
    return RollupKey(
        job.workspace_id,
        period,
        starts_at,
        job.api_key_id,
        each.model,
        each.provider,
        job.app or "",
        job.end_user or "",
    )


def _count(generation: GenerationRow | None) -> UsageCounts:
    """Return what an answer, or a failure, adds to the sums."""
    if generation is None:
        return UsageCounts(failures=1)
    cached, written = generation.cache_read_tokens or 0, generation.cache_write_tokens or 0
    return UsageCounts(
        requests=1,
        prompt_tokens=(generation.input_tokens or 0) + cached + written,
        completion_tokens=generation.output_tokens or 0,
        reasoning_tokens=generation.reasoning_tokens or 0,
        cached_tokens=cached,
        cost_nanos=generation.cost_nanos,
        byok_cost_nanos=generation.byok_cost_nanos,
        duration_ms=generation.duration_ms,
        first_token_ms=generation.first_token_ms or 0,
        first_tokens=int(generation.first_token_ms is not None),
    )
