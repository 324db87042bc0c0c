"""Usage over time as charts, from the analytics of the API."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from api.accounts.key_response_schemas import KeyList
from api.dashboard.core import charts, formats
from api.dashboard.core.api_client import ApiClient, Query
from api.dashboard.core.charts import Chart, Format
from api.usage.response_schemas import AnalyticsAnswer
from broker.completion import Json
from broker.values import immutable

METRICS = ("request_count", "failure_count", "total_usage", "total_tokens", "avg_latency")
MOST_ROWS = 10_000


@immutable
class Span:
    """A time that the overview shows."""

    label: str
    granularity: str  # of the analytics
    step: timedelta
    steps: int
    pattern: str  # of the labels of the axis, as `strftime` has them


SPANS = {
    "24h": Span("24 hours", "hour", timedelta(hours=1), 24, "%H:00"),
    "7d": Span("7 days", "day", timedelta(days=1), 7, "%a %d"),
    "30d": Span("30 days", "day", timedelta(days=1), 30, "%d %b"),
    "90d": Span("90 days", "day", timedelta(days=1), 90, "%d %b"),
}


@immutable
class Usage:
    """The usage of a time: its sums by metric, and a chart for each metric."""

    totals: Json
    charts: dict[str, Chart]


async def load_usage(
    api: ApiClient, workspace_id: str, span: Span, dimension: str, *, model: str | None = None
) -> Usage:
    """Return the usage of a workspace, perhaps of one model, by a dimension."""
    moments = list_moments(datetime.now(UTC), span)
    query: Json = {
        "metrics": list(METRICS),
        "time_range": {
            "start": moments[0].isoformat(),
            "end": (moments[-1] + span.step).isoformat(),
        },
        "filters": [] if model is None else [{"field": "model", "operator": "eq", "value": model}],
        "limit": MOST_ROWS,
        "workspace_id": workspace_id,
    }
    detailed = {**query, "dimensions": [dimension], "granularity": span.granularity}
    totals, rows, names = await asyncio.gather(
        api.send("POST", "/analytics/query", AnalyticsAnswer, query),
        api.send("POST", "/analytics/query", AnalyticsAnswer, detailed),
        _find_names(api, workspace_id, dimension),
    )
    total = totals.data.data[0] if totals.data.data else dict.fromkeys(METRICS, 0)
    drawn = draw_usage(rows.data.data, dimension, names, moments, span)
    return Usage(total, drawn)


async def _find_names(api: ApiClient, workspace_id: str, dimension: str) -> dict[str, str]:
    """Return the names of keys by id, as far as the visitor may list them."""
    if dimension != "api_key_id":
        return {}
    query: Query = {"include_disabled": True, "workspace_id": workspace_id}
    keys = await api.find("/keys", KeyList, query)
    return {key.id: key.name for key in keys.data} if keys else {}


def list_moments(now: datetime, span: Span) -> list[datetime]:
    """Return the begin of each step of a time that ends with the present step (UTC)."""
    first = now.replace(minute=0, second=0, microsecond=0)
    if span.granularity == "day":
        first = first.replace(hour=0)
    return [first - span.step * back for back in range(span.steps - 1, -1, -1)]


def draw_usage(
    rows: Sequence[Json], dimension: str, names: dict[str, str], moments: Sequence[datetime],
    span: Span,
) -> dict[str, Chart]:  # fmt: skip
    """Return a chart for each metric, by its name. Rows without the dimension are `none`."""
    labels = [moment.strftime(span.pattern) for moment in moments]
    positions = {moment: position for position, moment in enumerate(moments)}
    values: dict[str, dict[str, list[float | None]]] = {metric: {} for metric in METRICS}
    for row in rows:
        position = positions.get(formats.read_moment(str(row["date"])))
        if position is None:
            continue
        key = str(row[dimension] or "none")
        for metric in METRICS:
            series = values[metric].setdefault(names.get(key, key), [None] * len(moments))
            series[position] = float(row[metric] or 0) or None
    writers: dict[str, Format] = {
        "total_usage": formats.format_usd,
        "avg_latency": formats.format_ms,
    }
    drawn = {}
    for metric in METRICS:
        draw = charts.draw_lines if metric == "avg_latency" else charts.stack_bars
        write = writers.get(metric, formats.format_count)
        drawn[metric] = draw(labels, charts.merge_small(values[metric]), write)
    return drawn
