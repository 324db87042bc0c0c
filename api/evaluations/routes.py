"""Routes of evaluations: the same prompts at several models, as jobs, graded and summed up."""

import asyncio
import tempfile
from typing import Annotated, Literal, TypeAlias

from fastapi import APIRouter, Path, Query
from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from api.core.bodies import Route
from api.core.dependencies import Caller, IdempotencyKey, Runner, ServicesDep
from api.core.errors import json_response
from api.core.request import EvaluationCursor
from api.core.services import Services
from api.evaluations import create
from api.evaluations.response_schemas import (
    DeletedEvaluation,
    EvaluationList,
    EvaluationResults,
    EvaluationView,
)
from api.evaluations.schemas import EvaluationBody
from api.files.routes import render_page
from broker.accounts import Principal, Scope
from broker.clock import now_ms
from broker.enums import StopReason
from broker.errors import NotFoundError
from broker.evaluations import exports, reports, transitions
from broker.evaluations.figures import Summary
from broker.evaluations.markdown import write_markdown
from broker.evaluations.reports import EvaluationPage, EvaluationReport
from broker.evaluations.rows import Plan
from broker.evaluations.view import render_evaluation, render_results
from broker.storage.files.store import PIECE

router = APIRouter(route_class=Route, prefix="/evaluations", tags=["evaluations"])

MAX_PAGE_CELLS = 1_000
MARKDOWN, PARQUET = "text/markdown", "application/vnd.apache.parquet"
EvaluationId: TypeAlias = Annotated[str, Path(description="The id of the evaluation (`eval_…`).")]


@router.post("", status_code=202, response_model=EvaluationView)
async def create_evaluation(
    services: ServicesDep,
    principal: Runner,
    body: EvaluationBody,
    key: IdempotencyKey,
) -> Response:
    """Send prompts to models and grade the answers. It is stored when this answers.

    Each cell, and each call of a grader, is a job. `max_cost` limits all of them together.
    """
    return await create.create_evaluation(services, principal, body, key)


@router.get("", response_model=EvaluationList)
async def list_evaluations(
    services: ServicesDep,
    principal: Caller,
    limit: Annotated[int, Query(ge=1, le=100, description="The most evaluations of a page.")] = 20,
    after: Annotated[
        EvaluationCursor | None, Query(description="The last id of the previous page.")
    ] = None,
) -> Response:
    """List the workspace's evaluations, newest first."""
    owner = principal.owner_filter(Scope.JOBS)
    query = EvaluationPage(principal.workspace_id, limit + 1, after, owner)
    found = await services.database.read(reports.page, query)
    data = [render_evaluation(each) for each in found[:limit]]
    return json_response(render_page(data, has_more=len(found) > limit))


@router.get(
    "/{evaluation_id}",
    response_model=EvaluationView,
    responses={200: {"content": {MARKDOWN: {"schema": {"type": "string"}}}}},
)
async def get_evaluation(
    services: ServicesDep,
    principal: Caller,
    evaluation_id: EvaluationId,
    format: Annotated[  # noqa: A002
        Literal["json", "markdown"],
        Query(description="`markdown` returns the summary as tables; it is empty before the end."),
    ] = "json",
) -> Response:
    """Return an evaluation as it is now; it has its `summary` when it has ended."""
    found = await _find(services, principal, evaluation_id)
    if format == "json":
        return json_response(render_evaluation(found))
    stored = found.row.summary
    text = "" if stored is None else write_markdown(Summary.model_validate_json(stored))
    return Response(text, media_type=f"{MARKDOWN}; charset=utf-8")


@router.get(
    "/{evaluation_id}/results",
    response_model=EvaluationResults,
    responses={
        200: {
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                PARQUET: {"schema": {"type": "string", "format": "binary"}},
            }
        }
    },
)
async def get_results(
    services: ServicesDep,
    principal: Caller,
    evaluation_id: EvaluationId,
    limit: Annotated[int, Query(ge=1, le=100, description="The most prompts of a page.")] = 20,
    after: Annotated[int, Query(ge=0, description="The `last_prompt` of the previous page.")] = 0,
    format: Annotated[  # noqa: A002
        Literal["json", "csv", "parquet"],
        Query(description="`csv` and `parquet` return a table of all cells."),
    ] = "json",
) -> Response:
    """Return the answers and grades of the cells of some prompts, in order.

    A page has about 1,000 cells at most, so it may have fewer prompts than `limit`.
    """
    found = await _find(services, principal, evaluation_id)
    plan = Plan.of(found.row)
    if format != "json":
        return await _export(services, plan, format)
    limit = min(limit, max(MAX_PAGE_CELLS // len(plan.cells(0)), 1))
    page = await services.database.read(reports.list_results, plan, after, limit + 1)
    shown = page[:limit]
    return json_response(
        {
            "object": "list",
            "data": list(render_results(plan, shown)),
            "last_prompt": shown[-1].row.number + 1 if shown else after,
            "has_more": len(page) > limit,
        }
    )


@router.post("/{evaluation_id}/cancel", response_model=EvaluationView)
async def cancel_evaluation(
    services: ServicesDep, principal: Caller, evaluation_id: EvaluationId
) -> Response:
    """Cancel an evaluation: no further call starts. The answers so far are graded and kept."""
    await _find(services, principal, evaluation_id)
    await services.database.write(
        transitions.stop_evaluation,
        evaluation_id,
        StopReason.CANCELLED,
        now_ms(),
        principal.workspace_id,
    )
    return json_response(render_evaluation(await _find(services, principal, evaluation_id)))


@router.delete("/{evaluation_id}", response_model=DeletedEvaluation)
async def delete_evaluation(
    services: ServicesDep, principal: Caller, evaluation_id: EvaluationId
) -> Response:
    """Delete an evaluation that has ended, with its grades. Its jobs stay.

    An evaluation that has not ended is refused with 409.
    """
    await _find(services, principal, evaluation_id)
    for file_id in await services.database.write(
        transitions.delete_evaluation, evaluation_id, principal.workspace_id
    ):
        await asyncio.to_thread(services.files.delete, file_id)
    return json_response({"id": evaluation_id, "object": "evaluation", "deleted": True})


async def _export(services: Services, plan: Plan, kind: str) -> Response:
    """Return a table of all cells as a file."""
    name = f"{plan.row.id}.{kind}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if kind == "csv":
        pieces = exports.write_csv(services.database, plan)
        return StreamingResponse(pieces, media_type="text/csv; charset=utf-8", headers=headers)
    file = tempfile.TemporaryFile()  # noqa: SIM115  # it is closed when it was sent
    try:
        await asyncio.to_thread(exports.write_parquet, services.database, plan, file)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    pieces = iter(lambda: file.read(PIECE), b"")
    return StreamingResponse(
        pieces, media_type=PARQUET, headers=headers, background=BackgroundTask(file.close)
    )


async def _find(services: Services, principal: Principal, evaluation_id: str) -> EvaluationReport:
    found = await services.database.read(reports.find, principal.workspace_id, evaluation_id)
    if found is None or not principal.sees(found.row.api_key_id, Scope.JOBS):
        raise NotFoundError(f"There is no evaluation {evaluation_id}.")
    return found
