"""/activity, /analytics and /generation: usage by day, by any query, and of one generation."""

import csv
import io
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.core.bodies import Route
from api.core.dependencies import Caller, ServicesDep
from api.core.errors import json_response
from api.core.scope import UsageScope, find_usage_scope
from api.core.services import Services
from api.jobs import delete_after_delivery
from api.usage import views
from api.usage.response_schemas import (
    ActivityAnswer,
    AnalyticsAnswer,
    AnalyticsNamesAnswer,
    GenerationAnswer,
    GenerationContentAnswer,
)
from api.usage.schemas import (
    ActivityQuery,
    AnalyticsBody,
    AnalyticsFilter,
    AnalyticsQuery,
    TimeRange,
)
from broker import usage
from broker.accounts import Principal, Scope
from broker.clock import moment, now_ms
from broker.completion import Json
from broker.enums import Kept
from broker.errors import InvalidRequestError, NotFoundError
from broker.ids import job_of_generation
from broker.jobs import reports
from broker.jobs.reports import JobReport
from broker.money import usd
from broker.spreadsheets import cell
from broker.usage import Condition, UsageQuery, UsageRow
from broker.usage.sums import Activity

router = APIRouter(route_class=Route, tags=["usage"])


@router.get("/activity", response_model=ActivityAnswer)
async def get_activity(
    request: Request,
    services: ServicesDep,
    principal: Caller,
    query: Annotated[ActivityQuery, Query()],
) -> Response:
    """Show the usage of the last 30 complete UTC days, a row for each day, model and provider."""
    scope = find_usage_scope(principal, query.workspace_id)
    by_workspace = query.group_by is not None
    activity = usage.ActivityFilter(
        now_ms(),
        scope.workspace_ids,
        scope.key_ids,
        key_hash=query.api_key_hash,
        user_id=query.user_id,
        day=None if query.date is None else _start_of(query.date),
        by_workspace=by_workspace,
    )
    rows = await services.database.read(usage.list_activity, activity)
    shown = [_render_activity(row, by_workspace=by_workspace) for row in rows]
    if _prefers_csv(request, query.format):
        return _csv_response("activity", shown)
    return json_response({"data": shown})


@router.get("/analytics/meta", response_model=AnalyticsNamesAnswer)
async def get_analytics_meta(_: Caller) -> Response:
    """List the metrics, dimensions, granularities and operators of `POST /analytics/query`."""
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
    names = {
        "metrics": metrics,
        "dimensions": dimensions,
        "granularities": granularities,
        "operators": operators,
    }
    return json_response({"data": names})


@router.post("/analytics/query", response_model=AnalyticsAnswer)
async def query_analytics(
    request: Request,
    services: ServicesDep,
    principal: Caller,
    body: AnalyticsBody,
    format: Annotated[  # noqa: A002
        Literal["json", "csv"], Query(description="`csv` answers with a table.")
    ] = "json",
) -> Response:
    """Query usage, which is summed by hour, day and month."""
    query = build_query(body, find_usage_scope(principal, body.workspace_id), now_ms())
    began = time.monotonic()
    found = await services.database.read(usage.run_query, query)
    rows = [_render_row(row) for row in found[: body.limit]]
    if _prefers_csv(request, format):
        return _csv_response("analytics", rows)
    metadata = {
        "query_time_ms": round((time.monotonic() - began) * 1000, 3),
        "row_count": len(rows),
        "truncated": len(found) > body.limit,
    }
    return json_response({"data": {"data": rows, "metadata": metadata}})


def _start_of(date: str) -> int:
    """Return the start of a UTC day in Unix milliseconds."""
    try:
        return int(datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * 1000
    except ValueError:
        raise InvalidRequestError(f"date: {date!r} is not YYYY-MM-DD.", param="date") from None


def _render_activity(row: Activity, *, by_workspace: bool) -> Json:
    shown: Json = {
        "date": moment(row.starts_at)[:10],
        "model": row.model,
        "model_permaslug": row.model,
        "endpoint_id": f"{row.provider}/{row.model}",
        "provider_name": row.provider,
        "requests": row.requests,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "reasoning_tokens": row.reasoning_tokens,
        "cached_tokens": row.cached_tokens,
        "usage": usd(row.cost_nanos),
        "byok_usage_inference": usd(row.byok_cost_nanos),
    }
    return shown | ({"workspace_id": row.workspace_id} if by_workspace else {})


def _render_row(row: UsageRow) -> Json:
    return {name: moment(int(value)) if name == "date" else value for name, value in row.items()}


def _prefers_csv(request: Request, format_: str) -> bool:
    return format_ == "csv" or request.headers.get("accept", "").startswith("text/csv")


def _csv_response(name: str, rows: Sequence[Json]) -> Response:
    """Return rows as a file. A cell that a spreadsheet would run as a formula becomes text."""
    text = io.StringIO()
    writer = csv.writer(text)
    if rows:
        writer.writerow(rows[0])
        writer.writerows([cell(value) for value in row.values()] for row in rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(text.getvalue(), headers=headers, media_type="text/csv")


generations_router = APIRouter(route_class=Route, tags=["generations"])

GenerationId: TypeAlias = Annotated[
    str, Query(alias="id", description="The id of the generation (`gen-…`).")
]


@generations_router.get("/generation", response_model=GenerationAnswer)
async def get_generation(
    services: ServicesDep, principal: Caller, generation_id: GenerationId
) -> Response:
    """Show one generation. It exists as soon as its completion is answered."""
    found = await _find_report(principal, services, generation_id)
    if found.generation is None:
        raise NotFoundError(f"There is no generation {generation_id}.", param="id")
    return json_response({"data": views.render_generation(found)})


@generations_router.get("/generation/content", response_model=GenerationContentAnswer)
async def get_generation_content(
    services: ServicesDep, principal: Caller, generation_id: GenerationId
) -> Response:
    """Show the prompt and the answer or error of a generation, as far as they are stored.

    Only keys with the scope `presets` see the prompt of a preset.
    """
    found = await _find_report(principal, services, generation_id)
    if found.job.kept == Kept.NOTHING:
        raise delete_after_delivery.gone_error(found.job.id)
    shows = Scope.PRESETS in principal.scopes
    response = json_response({"data": views.render_content(found, shows_presets=shows)})
    return delete_after_delivery.mark_after_response(services, found, response)


async def _find_report(principal: Principal, services: Services, generation: str) -> JobReport:
    job_id = job_of_generation(generation)
    found = await services.database.read(reports.job, principal.workspace_id, job_id)
    is_hidden = found is None or not principal.sees(found.job.api_key_id, Scope.JOBS)
    if found is None or is_hidden or not generation.startswith("gen-"):
        raise NotFoundError(f"There is no generation {generation}.", param="id")
    return found


DEFAULT_RANGE_MS = 30 * 24 * 3_600_000


def build_query(body: AnalyticsQuery, scope: UsageScope, now: int) -> UsageQuery:
    """Return the query of a body, with one row more than its limit. Raises InvalidRequestError."""
    for name in body.metrics:
        _check_name("metrics", name, usage.METRICS)
    for name in body.dimensions:
        _check_name("dimensions", name, usage.DIMENSIONS)
    if body.granularity is not None:
        _check_name("granularity", body.granularity, usage.GRANULARITIES)
    order = body.order_by
    if order is not None:
        date = ["date"] if body.granularity else []
        _check_name("order_by.field", order.field, [*body.metrics, *body.dimensions, *date])
    start, end = _range_of(body.time_range, now)
    return UsageQuery(
        metrics=list(dict.fromkeys(body.metrics)),
        start=start,
        end=end,
        workspace_ids=scope.workspace_ids,
        key_ids=scope.key_ids,
        dimensions=list(dict.fromkeys(body.dimensions)),
        conditions=[_condition(each) for each in body.filters],
        granularity=body.granularity,
        order_by=None if order is None else order.field,
        ascending=order is not None and order.direction == "asc",
        limit=body.limit + 1,
    )


def _range_of(time_range: TimeRange | None, now: int) -> tuple[int, int]:
    """Return start and end in Unix milliseconds; by default the last 30 days."""
    if time_range is None:
        return now - DEFAULT_RANGE_MS, now + 1
    start, end = (int(each.timestamp() * 1000) for each in (time_range.start, time_range.end))
    if start >= end:
        raise InvalidRequestError("time_range: end must be after start.", param="time_range")
    return start, end


def _condition(each: AnalyticsFilter) -> Condition:
    _check_name("filters.field", each.field, usage.DIMENSIONS)
    _check_name("filters.operator", each.operator, usage.FILTERS)
    takes_list = each.operator in usage.LISTS
    if takes_list is not isinstance(each.value, list):
        form = "a list" if takes_list else "one value"
        raise InvalidRequestError(
            f"filters.value: {each.operator} takes {form}.", param="filters.value"
        )
    return Condition(each.field, each.operator, each.value)


def _check_name(param: str, name: str, names: Collection[str]) -> None:
    """Raise InvalidRequestError for a name that is not one of these."""
    if name not in names:
        raise InvalidRequestError(f"{param}: {name!r} is none of {', '.join(names)}.", param=param)
