"""Add usage to its hour, day and month in the settling transaction, by one upsert.

Rows go in key order, so that two processes which add to the same ones wait and never deadlock.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from broker.storage.tables import UsageRollup, table
from broker.usage.periods import rollup_periods

_rollups = table(UsageRollup)

KEY = (
    *("workspace_id", "period", "starts_at"),
    *("api_key_id", "model", "provider", "app", "end_user"),
)
COUNTED = (
    *("requests", "failures", "prompt_tokens", "completion_tokens", "reasoning_tokens"),
    *("cached_tokens", "cost_nanos", "byok_cost_nanos"),
    *("duration_ms", "first_token_ms", "first_tokens"),
)


class Consumer(Protocol):
    """The job that used: a row of `jobs`."""

    workspace_id: str
    api_key_id: str
    app: str | None
    end_user: str | None


@dataclass(frozen=True, slots=True)
class Consumption:
    """The end of one job with its generation, or None if it has none."""

    job: Consumer
    model: str
    provider: str
    now: int
    generation: Mapping[str, Any] | None  # the columns of `generations`

    @classmethod
    def of(cls, job: Consumer, generation: Mapping[str, Any], now: int) -> "Consumption":
        """Return the consumption of an answer."""
        return cls(job, generation["model"], generation["provider"], now, generation)


def _upsert(insert: Any) -> Any:
    statement = insert(_rollups)
    return statement.on_conflict_do_update(
        index_elements=[_rollups.c[name] for name in KEY],
        set_={name: _rollups.c[name] + statement.excluded[name] for name in COUNTED},
    )


_UPSERTS = {"sqlite": _upsert(sqlite.insert), "postgresql": _upsert(postgresql.insert)}


def add(connection: Connection, consumptions: Sequence[Consumption]) -> None:
    """Add consumptions to their sums."""
    if not consumptions:
        return
    sums: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * len(COUNTED))
    for each in consumptions:
        counts = _counts(each.generation)
        for period in rollup_periods(each.now):
            row = sums[_key(each, period)]
            row[:] = map(int.__add__, row, counts)
    rows = [
        dict(zip((*KEY, *COUNTED), (*key, *counts), strict=True))
        for key, counts in sorted(sums.items())
    ]
    connection.execute(_UPSERTS[connection.dialect.name], rows)


def _key(each: Consumption, period: tuple[str, int]) -> tuple[Any, ...]:
    job = each.job
    return (
        *(job.workspace_id, *period, job.api_key_id, each.model, each.provider),
        *(job.app or "", job.end_user or ""),
    )


def _counts(generation: Mapping[str, Any] | None) -> tuple[int, ...]:
    if generation is None:
        return (0, 1) + (0,) * (len(COUNTED) - 2)

    def count(name: str) -> int:
        return int(generation.get(name) or 0)

    cached = count("cache_read_tokens")
    return (
        *(1, 0, count("input_tokens") + cached + count("cache_write_tokens")),
        *(count("output_tokens"), count("reasoning_tokens"), cached),
        *(count("cost_nanos"), count("byok_cost_nanos"), count("duration_ms")),
        *(count("first_token_ms"), int(generation.get("first_token_ms") is not None)),
    )
