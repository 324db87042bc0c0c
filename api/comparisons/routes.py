"""Routes of comparisons: the same prompts at several models, as jobs; a table of their answers."""

import asyncio
from typing import Annotated, Literal, TypeAlias

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api.comparisons import views
from api.comparisons.response_schemas import Comparison
from api.comparisons.schemas import CompareRequest, ComparisonBody
from api.core.bodies import Route
from api.core.dependencies import Caller, IdempotencyKey, ServicesDep
from api.core.errors import json_response
from api.core.rate_limits import write_within_limits
from api.core.services import Services
from api.jobs import submit
from broker.accounts import Principal, Scope
from broker.completion import Json
from broker.errors import NotFoundError, WaybillError
from broker.evaluations import comparisons
from broker.evaluations.comparisons import CELL, ComparedAnswer
from broker.queues import Lane
from broker.submission import JobOptions, NewJob

router = APIRouter(route_class=Route, prefix="/compare", tags=["compare"])

JOBS_WITHOUT_PAUSE = 50  # jobs that are prepared before other tasks of the event loop run
ComparisonId: TypeAlias = Annotated[str, Path(description="The id of the comparison (`cmp_…`).")]
TableFormat: TypeAlias = Annotated[
    Literal["json", "csv"] | None,
    Query(description="The format of the answer; without it `Accept` decides."),
]


@router.post("", status_code=202, response_model=Comparison)
async def create_comparison(
    services: ServicesDep, principal: Caller, body: ComparisonBody, key: IdempotencyKey
) -> Response:
    """Send the same `prompt` or `prompts` to all `models`, as jobs.

    The answer 202 has the table as it is now, and the path to fetch it again.
    """
    comparison_id = comparisons.make_comparison_id(principal.workspace_id, key)
    jobs = await _prepare(services, principal, body, comparison_id, key)
    await write_within_limits(
        services,
        jobs,
        lambda: services.database.write(comparisons.submit_together, jobs),
    )
    cells = await _cells(services, principal, comparison_id)
    shown = views.render_comparison(comparison_id, cells)
    headers = {"Location": shown["urls"]["self"], "Retry-After": "1"}
    return json_response(shown, 202, headers)


@router.get("/{comparison_id}", response_model=Comparison)
async def get_comparison(
    request: Request,
    services: ServicesDep,
    principal: Caller,
    comparison_id: ComparisonId,
    format: TableFormat = None,  # noqa: A002
) -> Response:
    """Return a comparison as it is now: JSON, or CSV with `?format=csv` or `Accept: text/csv`."""
    cells = await _cells(services, principal, comparison_id)
    chosen = format or ("csv" if "text/csv" in request.headers.get("accept", "") else "json")
    if chosen == "json":
        return json_response(views.render_comparison(comparison_id, cells))
    headers = {"Content-Disposition": f'attachment; filename="{comparison_id}.csv"'}
    return Response(views.render_csv(cells), media_type="text/csv; charset=utf-8", headers=headers)


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
            options = JobOptions(
                lane=Lane.BATCH,
                idempotency_key=key and f"{comparison_id}.{row}.{column}",
                batch_id=comparison_id,
                extra=extra,
            )
            chat = wanted.body | {"model": model, "messages": messages}
            try:
                jobs.append(submit.admit_job(services, principal, chat, options))
            except WaybillError as refusal:
                jobs.append(await submit.find_earlier(services, principal, chat, options, refusal))
            if len(jobs) % JOBS_WITHOUT_PAUSE == 0:
                await asyncio.sleep(0)
    return jobs


async def _cells(
    services: Services, principal: Principal, comparison_id: str
) -> list[ComparedAnswer]:
    found = await services.database.read(
        comparisons.list_answers, principal.workspace_id, comparison_id
    )
    if not found or not principal.sees(found[0].answer.api_key_id, Scope.JOBS):
        raise NotFoundError(f"There is no comparison {comparison_id}.")
    return found
