"""Replay: past jobs, with the answers that they got, as the prompts of an evaluation.

Only jobs whose prompts and answers the workspace keeps are found.
"""

from collections.abc import Sequence
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Connection, exists, select

from broker.completion import Json
from broker.enums import JobState
from broker.evaluations.answers import read_text
from broker.evaluations.creation import AskedPrompt
from broker.evaluations.specification import MAX_PROMPTS, OWN_FIELDS, Prompt
from broker.jobs.searches import JobSearch, narrow
from broker.requests.operations import Operation
from broker.storage.tables import Batch, Job, JobPayload, table

_jobs = table(Job)
_payloads = table(JobPayload)
_batches = table(Batch)

NOT_REPLAYED = OWN_FIELDS | {
    *("provider", "route", "routing", "service_tier", "transforms"),
    *("user", "session_id", "metadata", "trace", "store", "callback_url", "webhook"),
}
"""Fields of a past body that say where it went, or who asked."""

PAGE = 200
Text = Annotated[str, StringConstraints(min_length=1, max_length=512)]


class ReplaySearch(BaseModel):
    """A search of past jobs. Each field that is given must match."""

    model_config = ConfigDict(extra="forbid")

    model: Text | None = Field(None, description="The slug of the model that was requested.")
    preset: Text | None = Field(None, description="The slug of the preset that was requested.")
    api_key_id: Text | None = Field(None, description="The id of the API key that submitted it.")
    app: Text | None = Field(None, description="The app that called.")
    user: Text | None = Field(None, description="The `user` of the body.")
    session_id: Text | None = Field(None, description="The session.")
    metadata: dict[Text, Text] = Field({}, description="Values that the job has as metadata.")
    created_after: float | None = Field(
        None, ge=0, lt=1e11, description="Only later jobs: Unix seconds."
    )
    created_before: float | None = Field(
        None, ge=0, lt=1e11, description="Only earlier jobs: Unix seconds."
    )
    limit: int = Field(
        100, ge=1, le=MAX_PROMPTS, description="The most jobs; the latest ones are taken."
    )


def find_prompts(
    connection: Connection,
    workspace_id: str,
    search: ReplaySearch,
    owner: str | None,
    *,
    shows_presets: bool,
) -> list[AskedPrompt]:
    """Return the prompts of the latest chats that a search finds, newest first.

    `owner` limits them to the jobs of one key. Without `shows_presets`, chats that begin with the
    prompt of a preset are left out, because results show prompts.
    """
    found: list[AskedPrompt] = []
    after: str | None = None
    while len(found) < search.limit:
        ids = _find_page(connection, workspace_id, search, owner, after)
        for job_id, request, response, extra in _load(connection, ids):
            has_preset = bool(orjson.loads(extra or "{}").get("preset_prompt"))
            if has_preset and not shows_presets:
                continue
            prompt = _build_prompt(job_id, orjson.loads(request), read_text(response))
            found.append(AskedPrompt(prompt, job_id))
        if len(ids) < PAGE:
            break
        after = ids[-1]
    return found[: search.limit]


def _find_page(
    connection: Connection,
    workspace_id: str,
    search: ReplaySearch,
    owner: str | None,
    after: str | None,
) -> Sequence[str]:
    wanted = JobSearch(
        state=JobState.COMPLETED,
        model=search.model,
        api_key_id=search.api_key_id,
        app=search.app,
        end_user=search.user,
        session_id=search.session_id,
        preset=search.preset,
        owner=owner,
        metadata=search.metadata,
    )
    in_evaluation = exists().where(
        _batches.c.id == _jobs.c.batch_id, _batches.c.evaluation_id.is_not(None)
    )
    query = select(_jobs.c.id).where(
        _jobs.c.workspace_id == workspace_id,
        _jobs.c.operation == Operation.CHAT,
        *(_jobs.c.kept.is_(None), _jobs.c.store.is_(None)),
        ~in_evaluation,
    )
    if after is not None:
        query = query.where(_jobs.c.id < after)
    if search.created_after is not None:
        query = query.where(_jobs.c.created_at > search.created_after * 1000)
    if search.created_before is not None:
        query = query.where(_jobs.c.created_at < search.created_before * 1000)
    narrowed = narrow(query, wanted, connection.dialect.name)
    return connection.execute(narrowed.order_by(_jobs.c.id.desc()).limit(PAGE)).scalars().all()


def _load(connection: Connection, ids: Sequence[str]) -> list[tuple[str, bytes, bytes, str | None]]:
    """Return id, request, response and extra of jobs that have both bodies, newest first."""
    query = (
        select(_payloads.c.job_id, _payloads.c.request, _payloads.c.response, _payloads.c.extra)
        .where(_payloads.c.job_id.in_(ids), _payloads.c.response.is_not(None))
        .order_by(_payloads.c.job_id.desc())
    )
    rows = connection.execute(query)
    return [(row.job_id, row.request, row.response, row.extra) for row in rows if row.request]


def _build_prompt(job_id: str, request: Json, answer: str | None) -> Prompt:
    body = {name: value for name, value in request.items() if name not in NOT_REPLAYED}
    return Prompt(id=job_id, messages=request["messages"], expected=answer or None, body=body)
