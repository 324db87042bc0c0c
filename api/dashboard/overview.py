"""The page /dashboard (redirects) and the overview of a workspace."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.accounts.key_response_schemas import KeyList
from api.billing.response_schemas import BudgetList, CreditsAnswer
from api.dashboard.core import charts, formats
from api.dashboard.core.api_client import ApiClient, ApiDep
from api.dashboard.core.charts import Chart, Format
from api.dashboard.core.pages import PageRoute, Values, render_live
from api.dashboard.core.visitors import VisitorDep, find_places, require_user
from api.jobs.response_schemas import QueueList
from api.models.response_schemas import ProviderList
from api.monitoring.response_schemas import Health
from api.pages.page import redirect, render_page
from api.usage.response_schemas import AnalyticsAnswer
from broker.completion import Json
from broker.values import immutable

router = APIRouter(route_class=PageRoute)

METRICS = ("request_count", "failure_count", "total_usage", "total_tokens", "avg_latency")
DIMENSIONS = {"model": "Model", "provider": "Provider", "api_key_id": "Key", "user": "End user"}
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


@router.get("/dashboard")
async def open_dashboard(request: Request) -> Response:
    """Redirect to the first workspace of the signed-in person."""
    user = await require_user(request)
    places = await find_places(request, user)
    if places:
        return redirect(f"/w/{places[0].slug}")
    text = "You are in no workspace yet: an administrator can add you."
    return render_page(request, "message.html", 403, title="No workspace", text=text)


@router.get("/w/{workspace}")
async def show_overview(
    request: Request, visitor: VisitorDep, api: ApiDep, span: str = "24h", by: str = "model"
) -> Response:
    """Show spending, requests and errors over time, the queues, and the state of providers."""
    span_name = span if span in SPANS else "24h"
    dimension = by if by in DIMENSIONS else "model"

    async def load() -> Values:
        usage, state = await asyncio.gather(
            _load_usage(api, SPANS[span_name], dimension), _load_state(api, visitor.place.id)
        )
        chosen = {"span": span_name, "by": dimension, "spans": SPANS, "dimensions": DIMENSIONS}
        return {**chosen, **usage, **state}

    return await render_live(request, visitor, "overview.html", load)


async def _load_usage(api: ApiClient, span: Span, dimension: str) -> Values:
    """Return the totals of a time, and its charts by a dimension."""
    moments = list_moments(datetime.now(UTC), span)
    query = {
        "metrics": list(METRICS),
        "time_range": {
            "start": moments[0].isoformat(),
            "end": (moments[-1] + span.step).isoformat(),
        },
        "limit": MOST_ROWS,
    }
    detailed = {**query, "dimensions": [dimension], "granularity": span.granularity}
    totals, rows, names = await asyncio.gather(
        api.send("POST", "/analytics/query", AnalyticsAnswer, query),
        api.send("POST", "/analytics/query", AnalyticsAnswer, detailed),
        _find_names(api, dimension),
    )
    total = totals.data.data[0] if totals.data.data else dict.fromkeys(METRICS, 0)
    drawn = draw_usage(rows.data.data, dimension, names, moments, span)
    return {"totals": total, "charts": drawn, "is_truncated": rows.data.metadata.truncated}


async def _find_names(api: ApiClient, dimension: str) -> dict[str, str]:
    """Return the names of keys by id, as far as the visitor may list them."""
    if dimension != "api_key_id":
        return {}
    keys = await api.find("/keys", KeyList, {"include_disabled": True})
    return {key.id: key.name for key in keys.data} if keys else {}


async def _load_state(api: ApiClient, workspace_id: str) -> Values:
    """Return what waits and runs now, the providers, the balance and the budgets."""
    queues, health, providers, credit, budgets = await asyncio.gather(
        api.get("/queues", QueueList),
        api.get_unprefixed("/health", Health),
        api.get("/providers", ProviderList),
        api.get("/credits", CreditsAnswer),
        api.find(f"/workspaces/{workspace_id}/budgets", BudgetList),
    )
    return {
        "queues": queues.data,
        "workers": queues.workers,
        "health": health,
        "providers": providers.data,
        "credit": credit.data,
        "budgets": budgets.data if budgets else [],
    }


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
