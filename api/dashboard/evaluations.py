"""Evaluations: the same prompts at several models, with grades; without graders a comparison."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Annotated
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.dashboard.core.api_client import ApiClient, ApiDep, ApiRefusalError
from api.dashboard.core.forms import Upload, read_list, read_number, read_upload
from api.dashboard.core.pages import (
    PageRoute,
    Values,
    redirect_with_notice,
    render,
    render_live,
)
from api.dashboard.core.visitors import VisitorDep
from api.evaluations.response_schemas import (
    EvaluationList,
    EvaluationResult,
    EvaluationResults,
    EvaluationView,
)
from api.files.response_schemas import StoredFile
from api.models.response_schemas import ModelPage
from api.pages.page import read_form
from broker.completion import Json
from broker.evaluations.markdown import list_cells, list_findings, list_headings
from broker.values import immutable

router = APIRouter(route_class=PageRoute, prefix="/w/{workspace}/evaluations")
PAGE_SIZE = 30
PROMPTS_PAGE = 20
FIELDS = (
    "name", "models", "prompts", "system", "samples", "max_cost", "grader", "pattern",
    "json_schema", "judge", "rubric", "url",
)  # fmt: skip
GRADERS = {
    "": "none: show the answers side by side",
    "exact": "exact: the answer is the expected one",
    "contains": "contains: the answer contains the expected text",
    "numeric": "numeric: the last number is the expected one",
    "regex": "regex: a pattern finds something",
    "json_schema": "JSON schema: the answer is valid JSON",
    "judge": "judge: a model scores by a rubric",
    "pairwise": "pairwise: a model chooses the better answer, in both orders",
    "http": "HTTP: your own program grades",
}


@router.get("")
async def list_evaluations(
    request: Request, visitor: VisitorDep, api: ApiDep, after: str | None = None
) -> Response:
    """Show the evaluations of the workspace, newest first."""

    async def load() -> Values:
        query = {"after": after, "limit": PAGE_SIZE}
        page = await api.get("/evaluations", EvaluationList, query)
        following = urlencode({"after": page.last_id or ""})
        return {
            "evaluations": page.data,
            "after": after,
            "next_path": f"?{following}" if page.has_more else "",
            "first_path": "?" if after else "",
        }

    return await render_live(request, visitor, "evaluations.html", load)


@router.get("/new")
async def show_new_evaluation(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Show the form for a new evaluation."""
    return await _render_new(request, visitor, api)


@router.post("/new")
async def create_evaluation(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Start an evaluation."""
    async with read_upload(request, "file") as (form, upload):
        try:
            wanted = read_evaluation(form) | await _read_prompts(api, form, upload)
            made = await api.send("POST", "/evaluations", EvaluationView, wanted)
        except ApiRefusalError as refusal:
            return await _render_new(request, visitor, api, form, refusal)
    path = f"{visitor.root}/evaluations/{made.id}"
    return redirect_with_notice(request, path, "The evaluation has begun.")


@router.get("/{evaluation_id}")
async def show_evaluation(
    request: Request,
    visitor: VisitorDep,
    api: ApiDep,
    evaluation_id: str,
    after: Annotated[int, Query(ge=0)] = 0,
) -> Response:
    """Show an evaluation: progress, figures, and the answers side by side."""

    async def load() -> Values:
        path = f"/evaluations/{evaluation_id}"
        query = {"limit": PROMPTS_PAGE, "after": after}
        evaluation, results = await asyncio.gather(
            api.get(path, EvaluationView), api.get(f"{path}/results", EvaluationResults, query)
        )
        summary = evaluation.summary
        following = urlencode({"after": results.last_prompt})
        return {
            "evaluation": evaluation,
            "headings": list_headings(summary) if summary else [],
            "figures": [list_cells(each) for each in summary.columns] if summary else [],
            "findings": list(list_findings(summary)) if summary else [],
            "rows": group_results(results.data),
            "is_open": evaluation.ended_at is None,
            "is_final": evaluation.ended_at is not None,
            "after": after,
            "next_path": f"?{following}" if results.has_more else "",
            "first_path": "?" if after else "",
        }

    return await render_live(request, visitor, "evaluation.html", load)


@router.get("/{evaluation_id}/results.csv")
async def download_results(api: ApiDep, evaluation_id: str) -> Response:
    """Return all answers and grades as CSV."""
    content = await api.fetch(f"/evaluations/{evaluation_id}/results", {"format": "csv"})
    headers = {"Content-Disposition": f'attachment; filename="{evaluation_id}.csv"'}
    return Response(content, media_type="text/csv", headers=headers)


@router.post("/{evaluation_id}/cancel")
async def cancel_evaluation(
    request: Request, visitor: VisitorDep, api: ApiDep, evaluation_id: str
) -> Response:
    """Cancel an evaluation: no further call starts."""
    await read_form(request)
    await api.change("POST", f"/evaluations/{evaluation_id}/cancel")
    path = f"{visitor.root}/evaluations/{evaluation_id}"
    return redirect_with_notice(request, path, "No further call starts.")


@router.post("/{evaluation_id}/delete")
async def delete_evaluation(
    request: Request, visitor: VisitorDep, api: ApiDep, evaluation_id: str
) -> Response:
    """Delete an evaluation that has ended."""
    await read_form(request)
    await api.change("DELETE", f"/evaluations/{evaluation_id}")
    return redirect_with_notice(
        request, f"{visitor.root}/evaluations", "The evaluation is deleted."
    )


@immutable
class PromptRow:
    """A prompt with the results of all columns and samples."""

    number: int
    prompt: str
    expected: str
    results: Sequence[EvaluationResult]


def group_results(results: Sequence[EvaluationResult]) -> list[PromptRow]:
    """Return the results by prompt. They are in the order of the prompts."""
    rows = []
    for number, group in groupby(results, key=lambda each: each.prompt_number):
        found = list(group)
        expected = found[0].expected
        shown = expected if isinstance(expected, str) else orjson.dumps(expected).decode()
        rows.append(PromptRow(number, found[0].prompt, "" if expected is None else shown, found))
    return rows


def read_evaluation(form: Mapping[str, str]) -> Json:
    """Return the body of an evaluation without its prompts. Raises ApiRefusalError."""
    wanted: Json = {
        "name": form.get("name") or None,
        "models": read_list(form, "models") or [],
        "system": form.get("system") or None,
        "samples": read_number(form, "samples") or 1,
        "max_cost": read_number(form, "max_cost"),
        "graders": _read_graders(form),
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _read_graders(form: Mapping[str, str]) -> list[Json]:
    kind = form.get("grader", "")
    match kind:
        case "":
            return []
        case "regex":
            return [{"type": kind, "pattern": form.get("pattern") or None}]
        case "json_schema":
            return [{"type": kind, "json_schema": _read_json(form, "json_schema")}]
        case "judge" | "pairwise":
            judge = {"model": form.get("judge", ""), "rubric": form.get("rubric", "")}
            return [{"type": kind, **judge}]
        case "http":
            return [{"type": kind, "url": form.get("url", "")}]
    return [{"type": kind}]


def _read_json(form: Mapping[str, str], name: str) -> Json:
    try:
        found = orjson.loads(form.get(name, ""))
    except orjson.JSONDecodeError as error:
        raise ApiRefusalError(400, f"{name} is no valid JSON: {error}", name) from None
    if not isinstance(found, dict):
        raise ApiRefusalError(400, f"{name}: it must be a JSON object.", name)
    return found


async def _read_prompts(api: ApiClient, form: Mapping[str, str], upload: Upload | None) -> Json:
    """Return the prompts of the form, or the id of the stored dataset."""
    if upload is not None:
        content = await asyncio.to_thread(upload.path.read_bytes)
        stored = await api.upload(
            "/files", StoredFile, (upload.name, content), {"purpose": "evals"}
        )
        return {"dataset_file_id": stored.id}
    prompts = [text.strip() for text in form.get("prompts", "").splitlines() if text.strip()]
    if not prompts:
        raise ApiRefusalError(400, "Write a prompt on each line, or choose a file.", "prompts")
    return {"prompts": [{"prompt": text} for text in prompts]}


async def _render_new(
    request: Request,
    visitor: VisitorDep,
    api: ApiDep,
    entered: Mapping[str, str] | None = None,
    refusal: ApiRefusalError | None = None,
) -> Response:
    models = await api.get("/models", ModelPage)
    values = {
        "models": models.data,
        "entered": {**dict.fromkeys(FIELDS, ""), **(entered or {})},
        "refusal": refusal,
        "graders": list(GRADERS.items()),
    }
    status = 200 if refusal is None else refusal.status
    return await render(request, visitor, "evaluation_new.html", values, status=status)
