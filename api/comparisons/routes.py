"""/compare: the same prompts to several models, as jobs; a table that fills as they end."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.comparisons import views
from api.comparisons.schemas import CompareRequest, ComparisonBody
from api.core.bodies import Route
from api.core.dependencies import Caller, IdempotencyKey, ServicesDep
from api.core.errors import json_response
from api.core.rate_limits import within_limits
from api.core.services import Services
from api.jobs import submit
from api.jobs import submit as repeats
from broker.accounts import Principal, Scope
from broker.completion import Json
from broker.errors import NotFoundError, WaybillError
from broker.queues import Lane
from broker.submission import JobOptions, NewJob, comparisons
from broker.submission.comparisons import CELL, Cell

router = APIRouter(route_class=Route, prefix="/compare", tags=["compare"])

BREATH = 50  # jobs that are prepared before others have their turn


@router.post("", status_code=202)
async def create_comparison(
    services: ServicesDep, principal: Caller, wanted: ComparisonBody, key: IdempotencyKey
) -> Response:
    """Ask `models` the same `prompt` or `prompts`. Answers 202 with the table to come back to."""
    comparison_id = comparisons.comparison_id(principal.workspace_id, key)
    jobs = await _prepare(services, principal, wanted, comparison_id, key)
    await within_limits(
        services,
        jobs,
        lambda: services.database.write_grouped(comparisons.submit_together_many, jobs),
    )
    cells = await _cells(services, principal, comparison_id)
    where = f"/api/v1/compare/{comparison_id}"
    told = views.comparison(comparison_id, cells)
    return json_response(told, 202, {"Location": where, "Retry-After": "1"})


@router.get("/{comparison_id}")
async def get_comparison(
    request: Request,
    services: ServicesDep,
    principal: Caller,
    comparison_id: str,
    format: Annotated[Literal["json", "csv"] | None, Query()] = None,  # noqa: A002
) -> Response:
    """Show a comparison as it is now: JSON, or CSV by `?format=csv` or `Accept: text/csv`."""
    cells = await _cells(services, principal, comparison_id)
    asked = format or ("csv" if "text/csv" in request.headers.get("accept", "") else "json")
    if asked == "json":
        return json_response(views.comparison(comparison_id, cells))
    name = f'attachment; filename="{comparison_id}.csv"'
    table = views.table(cells)
    headers = {"Content-Disposition": name}
    return Response(table, media_type="text/csv; charset=utf-8", headers=headers)


async def _prepare(
    services: Services,
    principal: Principal,
    wanted: CompareRequest,
    comparison_id: str,
    key: str | None,
) -> list[NewJob]:
    """Prepare a job for each cell."""
    jobs: list[NewJob] = []
    for row, messages in enumerate(wanted.conversations()):
        for column, model in enumerate(wanted.models):
            extra: Json = {CELL: {"row": row, "column": column}}
            if wanted.metadata:
                extra["metadata"] = wanted.metadata
            wish = JobOptions(
                lane=Lane.BATCH,
                idempotency_key=key and f"{comparison_id}.{row}.{column}",
                batch_id=comparison_id,
                extra=extra,
            )
            body = wanted.body | {"model": model, "messages": messages}
            try:
                jobs.append(submit.admit_job(services, principal, body, wish))
            except WaybillError as refusal:
                jobs.append(await repeats.find_earlier(services, principal, body, wish, refusal))
            if len(jobs) % BREATH == 0:
                await asyncio.sleep(0)
    return jobs


async def _cells(services: Services, principal: Principal, comparison_id: str) -> list[Cell]:
    found = await services.database.read(comparisons.cells, principal.workspace_id, comparison_id)
    if not found or not principal.sees(found[0].job.api_key_id, Scope.JOBS):
        raise NotFoundError(f"There is no comparison {comparison_id}.")
    return found
