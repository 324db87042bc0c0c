"""The list of jobs, and the page of one job."""

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.dashboard.core.api_client import ApiClient, ApiDep
from api.dashboard.core.conversations import Turn, read_answer, read_messages
from api.dashboard.core.pages import (
    PageRoute,
    Values,
    redirect_with_notice,
    render_live,
)
from api.dashboard.core.visitors import VisitorDep
from api.jobs.response_schemas import CancelledJob, Job, JobAttempt, JobPage
from api.pages.page import read_form
from api.usage.response_schemas import GenerationContentAnswer
from broker.completion import AttemptOutcome
from broker.enums import JobState, Kept, Store
from broker.ids import generation_id
from broker.jobs.states import TERMINAL
from broker.values import immutable

router = APIRouter(route_class=PageRoute, prefix="/w/{workspace}/jobs")
PAGE_SIZE = 50
FILTERS = ("status", "model", "provider", "api_key_id", "app", "user", "session_id")
"""Filters of the list, as `GET /jobs` names them."""


@router.get("")
async def list_jobs(
    request: Request,
    visitor: VisitorDep,
    api: ApiDep,
    after: Annotated[str | None, Query()] = None,
) -> Response:
    """Show the jobs of the workspace, newest first, by the filters in the URL."""
    chosen = {name: request.query_params.get(name, "") for name in FILTERS}
    given = {name: value for name, value in chosen.items() if value}

    async def load() -> Values:
        page = await api.get("/jobs", JobPage, {**given, "after": after, "limit": PAGE_SIZE})
        following = urlencode({**given, "after": page.last_id or ""})
        return {
            "jobs": page.data,
            "chosen": chosen,
            "is_filtered": bool(given),
            "after": after,
            "states": [state.value for state in JobState],
            "next_path": f"?{following}" if page.has_more else "",
            "first_path": f"?{urlencode(given)}" if after else "",
        }

    return await render_live(request, visitor, "jobs.html", load)


@router.get("/{job_id}")
async def show_job(request: Request, visitor: VisitorDep, api: ApiDep, job_id: str) -> Response:
    """Show one job: its plan, attempts, prompt and answer, usage and deliveries."""

    async def load() -> Values:
        # without the answer: a look at the page must not count as fetching it
        job = await api.get(f"/jobs/{job_id}", Job, {"answer": False})
        prompt, answer = await _load_content(api, job)
        return {
            "job": job,
            "spans": lay_out_attempts(job),
            "prompt": prompt,
            "answer": answer,
            "is_open": job.status not in TERMINAL,
            "is_final": job.status in TERMINAL,
            "is_hidden": job.store is Store.NONE or job.kept == Kept.NOTHING,
        }

    return await render_live(request, visitor, "job.html", load)


@router.post("/{job_id}/cancel")
async def cancel_job(request: Request, visitor: VisitorDep, api: ApiDep, job_id: str) -> Response:
    """Cancel a job."""
    await read_form(request)
    job = await api.send("POST", f"/jobs/{job_id}/cancel", CancelledJob)
    is_over = job.status in TERMINAL
    notice = "The job is cancelled." if is_over else "The worker of the job stops it."
    return redirect_with_notice(request, f"{visitor.root}/jobs/{job_id}", notice)


@router.post("/{job_id}/retry")
async def retry_job(request: Request, visitor: VisitorDep, api: ApiDep, job_id: str) -> Response:
    """Run a job again whose provider did not answer."""
    await read_form(request)
    await api.change("POST", f"/jobs/{job_id}/retry")
    return redirect_with_notice(
        request, f"{visitor.root}/jobs/{job_id}", "The job is queued again."
    )


async def _load_content(api: ApiClient, job: Job) -> tuple[Sequence[Turn], Sequence[Turn]]:
    """Return the stored prompt and answer. A job with `store: none` shows neither."""
    if job.store is Store.NONE or job.kept == Kept.NOTHING:
        return [], []
    query = {"id": generation_id(job.id)}
    found = await api.find("/generation/content", GenerationContentAnswer, query)
    prompt: Sequence[Turn] = []
    if found is not None and found.data.input is not None:
        asked = found.data.input
        text = [{"role": "input", "content": asked.prompt or ""}]
        prompt = read_messages(asked.messages if asked.messages is not None else text)
    if job.status is not JobState.COMPLETED:
        return prompt, []
    answered = await api.get(f"/jobs/{job.id}", Job)
    return prompt, read_answer(answered.response) if answered.response else []


@immutable
class AttemptSpan:
    """An attempt in the waterfall. Positions and lengths are in percent of the job's time."""

    attempt: JobAttempt
    start: float
    first: float  # until the first token
    rest: float
    queued: float  # before the start
    is_failed: bool


def lay_out_attempts(job: Job) -> list[AttemptSpan]:
    """Return the attempts of a job on one axis, from its submission to its last moment."""
    if not job.attempts:
        return []
    ends = [
        (each.started_at or job.created_at) + (each.duration_ms or 0) / 1000
        for each in job.attempts
    ]
    whole = max(*ends, job.ended_at or 0.0) - job.created_at
    scale = 100 / whole if whole > 0 else 0.0
    spans = []
    for each in job.attempts:
        start = max((each.started_at or job.created_at) - job.created_at, 0.0) * scale
        length = (each.duration_ms or 0) / 1000 * scale
        first = min((each.first_token_ms or 0) / 1000 * scale, length)
        queued = min((each.queued_ms or 0) / 1000 * scale, start)
        is_failed = each.outcome not in (None, AttemptOutcome.OK)
        spans.append(AttemptSpan(each, start, first, length - first, queued, is_failed))
    return spans
