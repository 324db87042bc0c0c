"""Query usage: metrics by up to two dimensions over time, from the rollups."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Float,
    cast,
    func,
    literal,
    select,
)

from broker.money import NANOS_PER_USD
from broker.storage.tables import UsageRollup, table
from broker.usage.periods import DAY_MS

_rollups = table(UsageRollup)


def _count(name: str) -> ColumnElement[Any]:
    return cast(func.coalesce(func.sum(_rollups.c[name]), 0), BigInteger)


def _sum(name: str) -> ColumnElement[Any]:
    return cast(func.coalesce(func.sum(_rollups.c[name]), 0), Float)


def _share(part: str, *whole: str) -> ColumnElement[Any]:
    total: Any = sum((_rollups.c[name] for name in whole), start=literal(0))
    return func.coalesce(_sum(part) / func.nullif(cast(func.sum(total), Float), 0), 0.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: its computation and its format."""

    label: str
    expression: ColumnElement[Any]
    format: str = "number"  # number | currency (US dollars) | percent (a share) | latency (ms)
    is_rate: bool = False


def _rate(label: str, expression: ColumnElement[Any], format_: str) -> Metric:
    return Metric(label, expression, format_, is_rate=True)


METRICS: Mapping[str, Metric] = {
    "request_count": Metric("Answered requests", _count("requests")),
    "failure_count": Metric("Jobs that failed", _count("failures")),
    "error_rate": _rate("Error rate", _share("failures", "requests", "failures"), "percent"),
    "total_usage": Metric("Cost", _sum("cost_nanos") / NANOS_PER_USD, "currency"),
    "byok_usage": Metric(
        "Cost at own provider accounts", _sum("byok_cost_nanos") / NANOS_PER_USD, "currency"
    ),
    "prompt_tokens": Metric("Input tokens, cached ones included", _count("prompt_tokens")),
    "completion_tokens": Metric("Output tokens", _count("completion_tokens")),
    "reasoning_tokens": Metric("Reasoning tokens", _count("reasoning_tokens")),
    "cached_tokens": Metric("Input tokens from a cache", _count("cached_tokens")),
    "total_tokens": Metric("Tokens", _count("prompt_tokens") + _count("completion_tokens")),
    "cache_hit_rate": _rate(
        "Cached share of the input", _share("cached_tokens", "prompt_tokens"), "percent"
    ),
    "avg_latency": _rate(
        "Time to the first token", _share("first_token_ms", "first_tokens"), "latency"
    ),
    "avg_generation_time": _rate(
        "Time to the whole answer", _share("duration_ms", "requests"), "latency"
    ),
}

DIMENSIONS: Mapping[str, tuple[str, str]] = {
    "model": ("Model", "model"),
    "provider": ("Provider", "provider"),
    "api_key_id": ("API key", "api_key_id"),
    "workspace": ("Workspace", "workspace_id"),
    "app": ("App: X-Title, or the host of HTTP-Referer", "app"),
    "user": ("End user: the body's `user`", "end_user"),
}
"""Name → (label, column)."""

FILTERS: Mapping[str, Callable[[ColumnElement[Any], Any], ColumnElement[bool]]] = {
    "eq": lambda column, value: column == value,
    "neq": lambda column, value: column != value,
    "in": lambda column, value: column.in_(value),
    "not_in": lambda column, value: column.not_in(value),
}
LISTS = frozenset({"in", "not_in"})  # filters that take several values

_MONDAY = _rollups.c.starts_at - (_rollups.c.starts_at // DAY_MS + 3) % 7 * DAY_MS
"""1970-01-01 was a Thursday."""

GRANULARITIES: Mapping[str, tuple[str, ColumnElement[int]]] = {
    "hour": ("hour", _rollups.c.starts_at),
    "day": ("day", _rollups.c.starts_at),
    "week": ("day", _MONDAY),
    "month": ("month", _rollups.c.starts_at),
}
"""Name → (period of the rollups that are read, begin of a row's period)."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One filter."""

    dimension: str
    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """A query. The caller has checked its names: they are keys of the tables above."""

    metrics: Sequence[str]
    start: int  # Unix milliseconds; periods that begin then or later
    end: int  # … and before this
    workspace_ids: Collection[str] | None = None  # None: all
    key_ids: Collection[str] | None = None
    dimensions: Sequence[str] = ()
    conditions: Sequence[Condition] = ()
    granularity: str | None = None  # None: one row for the whole range
    order_by: str | None = None  # a metric, a dimension or `date`; None: by date, then largest
    ascending: bool = False
    limit: int = 1_000


UsageRow = Mapping[str, str | int | float]
"""`date` (Unix ms, with a granularity), dimensions and metrics, by name."""


def run_query(connection: Connection, query: UsageQuery) -> Sequence[UsageRow]:
    """Return the rows of a query, in its order."""
    period, bucket = GRANULARITIES[query.granularity or "day"]
    columns: dict[str, ColumnElement[Any]] = {}
    if query.granularity is not None:
        columns["date"] = bucket
    columns |= {name: _rollups.c[DIMENSIONS[name][1]] for name in query.dimensions}
    metrics = {name: METRICS[name].expression for name in query.metrics}
    statement = (
        select(*[each.label(name) for name, each in (columns | metrics).items()])
        .where(
            _rollups.c.period == period,
            _rollups.c.starts_at >= query.start,
            _rollups.c.starts_at < query.end,
            *[_condition(each) for each in query.conditions],
        )
        .group_by(*columns.values())
        .order_by(*_order(query, columns | metrics, columns))
        .limit(query.limit)
    )
    if query.workspace_ids is not None:
        statement = statement.where(_rollups.c.workspace_id.in_(query.workspace_ids))
    if query.key_ids is not None:
        statement = statement.where(_rollups.c.api_key_id.in_(query.key_ids))
    names = [*columns, *metrics]
    return [dict(zip(names, row, strict=True)) for row in connection.execute(statement)]


def _condition(each: Condition) -> ColumnElement[bool]:
    return FILTERS[each.operator](_rollups.c[DIMENSIONS[each.dimension][1]], each.value)


def _order(
    query: UsageQuery,
    known: Mapping[str, ColumnElement[Any]],
    columns: Mapping[str, ColumnElement[Any]],
) -> list[ColumnElement[Any]]:
    if query.order_by is not None:
        column = known[query.order_by]
        first = [column.asc() if query.ascending else column.desc()]
    else:
        date = [columns["date"].asc()] if "date" in columns else []
        first = [*date, known[query.metrics[0]].desc()]
    return [*first, *columns.values()]
