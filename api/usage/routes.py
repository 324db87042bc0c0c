"""/activity, /analytics and /generation: usage by day, by any query, and of one completion."""

import csv
import io
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.core.bodies import Route
from api.core.dependencies import Caller, ServicesDep
from api.core.errors import json_response
from api.core.scope import UsageScope, usage_scope
from api.core.services import Services
from api.jobs import delete_after_delivery
from api.usage import views
from api.usage.schemas import ActivityQuery, AnalyticsBody, AnalyticsFilter, AnalyticsQuery
from broker import usage
from broker.accounts import Principal, Scope
from broker.clock import moment, now_ms
from broker.completion import Json
from broker.errors import InvalidRequestError, NotFoundError
from broker.ids import job_of_generation
from broker.jobs import reports
from broker.jobs.privacy import Kept
from broker.jobs.reports import JobReport
from broker.money import usd
from broker.spreadsheets import cell
from broker.usage import Condition, UsageQuery

router = APIRouter(route_class=Route, tags=["usage"])


@router.get("/activity")
async def get_activity(
    request: Request,
    services: ServicesDep,
    principal: Caller,
    query: Annotated[ActivityQuery, Query()],
) -> Response:
    """Show the last 30 completed UTC days: one row per day, model and provider."""
    scope = usage_scope(principal, query.workspace_id)
    by_workspace = query.group_by is not None
    activity = usage.ActivityFilter(
        now_ms(),
        scope.workspace_ids,
        scope.key_ids,
        key_hash=query.api_key_hash,
        user_id=query.user_id,
        day=None if query.date is None else _day(query.date),
        by_workspace=by_workspace,
    )
    rows = await services.database.read(usage.list_activity, activity)
    shown = [_activity(row, by_workspace=by_workspace) for row in rows]
    return _csv("activity", shown) if _wants_csv(request, query.format) else _data(shown)


@router.get("/analytics/meta")
async def get_analytics_meta(_: Caller) -> Response:
    """List what POST /analytics/query understands."""
    metrics = [
        {
            "name": name,
            "display_label": each.label,
            "display_format": each.format,
            "is_rate": each.is_rate,
        }
        for name, each in usage.METRICS.items()
    ]
    dimensions = [
        {"name": name, "display_label": label} for name, (label, _) in usage.DIMENSIONS.items()
    ]
    granularities = [{"name": each, "display_label": each.title()} for each in usage.GRANULARITIES]
    operators = [
        {"name": each, "value_type": "array" if each in usage.LISTS else "scalar"}
        for each in usage.FILTERS
    ]
    told = {"metrics": metrics, "dimensions": dimensions}
    return _data(told | {"granularities": granularities, "operators": operators})


@router.post("/analytics/query")
async def query_analytics(
    request: Request,
    services: ServicesDep,
    principal: Caller,
    asked: AnalyticsBody,
    format: Literal["json", "csv"] = "json",  # noqa: A002
) -> Response:
    """Answer a question about usage from the sums kept by hour, day and month."""
    wanted = analytics_query(asked, usage_scope(principal, asked.workspace_id), now_ms())
    began = time.monotonic()
    found = await services.database.read(usage.run_query, wanted)
    rows = [_shown(row) for row in found[: asked.limit]]
    if _wants_csv(request, format):
        return _csv("analytics", rows)
    metadata = {
        "query_time_ms": round((time.monotonic() - began) * 1000, 3),
        "row_count": len(rows),
        "truncated": len(found) > asked.limit,
    }
    return _data({"data": rows, "metadata": metadata})


def _data(data: Any) -> Response:
    return json_response({"data": data})


def _day(date: str) -> int:
    try:
        return int(datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * 1000
    except ValueError:
        raise InvalidRequestError(f"date: {date!r} is not YYYY-MM-DD.", param="date") from None


def _activity(row: Any, *, by_workspace: bool) -> Json:
    shown: Json = {
        "date": moment(row.starts_at)[:10],
        "model": row.model,
        "model_permaslug": row.model,
        "endpoint_id": f"{row.provider}/{row.model}",
        "provider_name": row.provider,
        "requests": int(row.requests),
        "prompt_tokens": int(row.prompt_tokens),
        "completion_tokens": int(row.completion_tokens),
        "reasoning_tokens": int(row.reasoning_tokens),
        "cached_tokens": int(row.cached_tokens),
        "usage": usd(int(row.cost_nanos)),
        "byok_usage_inference": usd(int(row.byok_cost_nanos)),
    }
    return shown | ({"workspace_id": row.workspace_id} if by_workspace else {})


def _shown(row: Mapping[str, Any]) -> Json:
    return {name: moment(int(value)) if name == "date" else value for name, value in row.items()}


def _wants_csv(request: Request, format_: str) -> bool:
    return format_ == "csv" or request.headers.get("accept", "").startswith("text/csv")


def _csv(name: str, rows: Sequence[Json]) -> Response:
    """Rows as a file; a cell that a spreadsheet would run as a formula is made text."""
    text = io.StringIO()
    writer = csv.writer(text)
    if rows:
        writer.writerow(rows[0])
        writer.writerows([cell(value) for value in row.values()] for row in rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(text.getvalue(), headers=headers, media_type="text/csv")


generations_router = APIRouter(route_class=Route, tags=["generations"])


@generations_router.get("/generation")
async def get_generation(services: ServicesDep, principal: Caller, id: str) -> Response:  # noqa: A002  # OpenRouter's name
    """Show one generation: there from the moment its completion is answered."""
    found = await _report(principal, services, id)
    if found.generation is None:
        raise NotFoundError(f"There is no generation {id}.", param="id")
    return json_response({"data": views.generation(found)})


@generations_router.get("/generation/content")
async def get_generation_content(services: ServicesDep, principal: Caller, id: str) -> Response:  # noqa: A002
    """Show what was asked and answered, or how it failed, as far as it is kept.

    The prompt of a preset is shown to keys with the scope `presets`.
    """
    found = await _report(principal, services, id)
    if found.job.kept == Kept.NOTHING:
        raise delete_after_delivery.gone_error(found.job.id)
    shows = Scope.PRESETS in principal.scopes
    response = json_response({"data": views.content(found, shows_presets=shows)})
    return delete_after_delivery.after_response(services, found.job, response)


async def _report(principal: Principal, services: Services, generation: str) -> JobReport:
    job_id = job_of_generation(generation)
    found = await services.database.read(reports.job, principal.workspace_id, job_id)
    is_hidden = found is None or not principal.sees(found.job.api_key_id, Scope.JOBS)
    if found is None or is_hidden or not generation.startswith("gen-"):
        raise NotFoundError(f"There is no generation {generation}.", param="id")
    return found


DEFAULT_DAYS_MS = 30 * 24 * 3_600_000


def analytics_query(asked: AnalyticsQuery, scope: UsageScope, now: int) -> UsageQuery:
    """Return what is asked, one row more than the limit. Raises InvalidRequestError."""
    for name in asked.metrics:
        _known("metrics", name, usage.METRICS)
    for name in asked.dimensions:
        _known("dimensions", name, usage.DIMENSIONS)
    if asked.granularity is not None:
        _known("granularity", asked.granularity, usage.GRANULARITIES)
    order = asked.order_by
    if order is not None:
        date = ["date"] if asked.granularity else []
        _known("order_by.field", order.field, [*asked.metrics, *asked.dimensions, *date])
    start, end = _range(asked, now)
    return UsageQuery(
        metrics=list(dict.fromkeys(asked.metrics)),
        start=start,
        end=end,
        workspace_ids=scope.workspace_ids,
        key_ids=scope.key_ids,
        dimensions=list(dict.fromkeys(asked.dimensions)),
        conditions=[_condition(each) for each in asked.filters],
        granularity=asked.granularity,
        order_by=None if order is None else order.field,
        ascending=order is not None and order.direction == "asc",
        limit=asked.limit + 1,
    )


def _range(asked: AnalyticsQuery, now: int) -> tuple[int, int]:
    if asked.time_range is None:
        return now - DEFAULT_DAYS_MS, now + 1
    start, end = (
        int(each.timestamp() * 1000) for each in (asked.time_range.start, asked.time_range.end)
    )
    if start >= end:
        raise InvalidRequestError("time_range: end must be after start.", param="time_range")
    return start, end


def _condition(each: AnalyticsFilter) -> Condition:
    _known("filters.field", each.field, usage.DIMENSIONS)
    _known("filters.operator", each.operator, usage.FILTERS)
    takes_list = each.operator in usage.LISTS
    if takes_list is not isinstance(each.value, list):
        wanted = "a list" if takes_list else "one value"
        raise InvalidRequestError(
            f"filters.value: {each.operator} takes {wanted}.", param="filters.value"
        )
    return Condition(each.field, each.operator, each.value)


def _known(param: str, name: str, names: Mapping[str, object] | Collection[str]) -> None:
    if name not in names:
        raise InvalidRequestError(f"{param}: {name!r} is none of {', '.join(names)}.", param=param)
