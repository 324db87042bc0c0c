"""/activity and /analytics: what was used, by day or by any question; JSON or CSV."""

import csv
import io
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.analytics_question import question
from api.core import request as reading
from api.core.errors import json_response
from api.core.scope import usage_scope
from api.core.services import services_of
from api.usage.schemas import ANALYTICS_BODY, AnalyticsQuery
from broker import usage
from broker.clock import moment, now_ms
from broker.completion import Json
from broker.errors import InvalidRequestError
from broker.money import usd
from broker.spreadsheets import cell

router = APIRouter(tags=["usage"])


@router.get("/activity")
async def get_activity(  # OpenRouter's filters
    request: Request,
    date: str | None = None,
    api_key_hash: str | None = None,
    user_id: str | None = None,
    workspace_id: str | None = None,
    group_by: Literal["workspace"] | None = None,
    format: Literal["json", "csv"] = "json",  # noqa: A002
) -> Response:
    """Show the last 30 completed UTC days: one row per day, model and provider."""
    services = services_of(request)
    scope = usage_scope(await services.keyring.principal(request), workspace_id)
    wanted = usage.Activity(
        now_ms(),
        scope.workspace_ids,
        scope.key_ids,
        key_hash=api_key_hash,
        user_id=user_id,
        day=None if date is None else _day(date),
        by_workspace=group_by is not None,
    )
    rows = await services.database.read(usage.activity, wanted)
    shown = [_activity(row, by_workspace=group_by is not None) for row in rows]
    return _csv("activity", shown) if _wants_csv(request, format) else _data(shown)


@router.get("/analytics/meta")
async def get_analytics_meta(request: Request) -> Response:
    """List what POST /analytics/query understands."""
    await services_of(request).keyring.principal(request)
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


@router.post("/analytics/query", openapi_extra=ANALYTICS_BODY)
async def query_analytics(
    request: Request,
    format: Literal["json", "csv"] = "json",  # noqa: A002
) -> Response:
    """Answer a question about usage from the sums kept by hour, day and month."""
    services = services_of(request)
    principal = await services.keyring.principal(request)
    asked = await reading.asked(request, services, AnalyticsQuery)
    wanted = question(asked, usage_scope(principal, asked.workspace_id), now_ms())
    began = time.monotonic()
    found = await services.database.read(usage.query, wanted)
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
