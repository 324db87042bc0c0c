"""Create an evaluation: check every column and grader, then write it with its prompts."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import PurePath

from starlette.responses import Response

from api.core.errors import json_response
from api.core.services import Services
from api.evaluations.schemas import EvaluationRequest
from api.jobs import submit
from api.webhooks.urls import check_receiver
from broker.accounts import Principal, Scope
from broker.clock import now_ms
from broker.completion import Json
from broker.enums import Store
from broker.errors import ConflictError, InvalidRequestError
from broker.evaluations import reports
from broker.evaluations.creation import (
    AskedPrompt,
    EvaluationOptions,
    NewEvaluation,
    insert_evaluation,
    new_evaluation,
)
from broker.evaluations.datasets import SERVED, DatasetError, read_dataset
from broker.evaluations.grader_options import (
    HttpGrader,
    JudgeGrader,
    PairwiseGrader,
    SimilarityGrader,
)
from broker.evaluations.lines import build_body
from broker.evaluations.replay import ReplaySearch, find_prompts
from broker.evaluations.rows import Plan
from broker.evaluations.specification import Specification
from broker.evaluations.view import render_evaluation
from broker.money import nanos_from_usd
from broker.queues import Lane
from broker.requests.operations import Operation
from broker.storage import files
from broker.submission import JobOptions

MAX_DATASET_BYTES = 50_000_000


async def create_evaluation(
    services: Services,
    principal: Principal,
    wanted: EvaluationRequest,
    key: str | None,
) -> Response:
    """Answer POST /evaluations."""
    specification = wanted.read_specification()
    prompts = await _read_prompts(services, principal, wanted)
    options = EvaluationOptions(
        wanted.name,
        wanted.completion_window,
        None if wanted.max_cost is None else nanos_from_usd(wanted.max_cost),
        key,
    )
    search = None if wanted.replay is None else wanted.replay.model_dump_json()
    now = now_ms()
    new = new_evaluation(specification, prompts, options, principal, now, search=search)
    await _check(services, principal, new, prompts)
    created = await services.database.write(insert_evaluation, new)
    found = await services.database.read(
        reports.find, principal.workspace_id, created.evaluation_id
    )
    if found is None:
        raise ConflictError(f"Evaluation {created.evaluation_id} was deleted.")
    shown = render_evaluation(found)
    headers = {"Location": shown["urls"]["self"], "Retry-After": "1"}
    if created.replayed:
        headers["Idempotent-Replayed"] = "true"
    return json_response(shown, 202, headers)


async def _read_prompts(
    services: Services, principal: Principal, wanted: EvaluationRequest
) -> list[AskedPrompt]:
    if wanted.prompts is not None:
        return [AskedPrompt(each) for each in wanted.prompts]
    if wanted.replay is not None:
        return await _find_past_prompts(services, principal, wanted.replay)
    file_id, owner = wanted.dataset_file_id or "", principal.owner_filter(Scope.FILES)
    workspace_id = principal.workspace_id
    row = await services.database.read(files.find, file_id, workspace_id, now_ms(), owner)
    if row is None:
        raise _refuse_dataset("there is no such file: upload one with purpose `evals`")
    if row.bytes > MAX_DATASET_BYTES:
        raise _refuse_dataset(f"the file has more than {MAX_DATASET_BYTES:,} bytes: split it")
    suffix = PurePath(row.filename or "").suffix.lower() or ".jsonl"
    if suffix not in SERVED:
        raise _refuse_dataset(f"{suffix} is none of {', '.join(SERVED)}; `waybill eval` reads more")
    try:
        content = await asyncio.to_thread(services.files.read, row.id)
        found = await asyncio.to_thread(read_dataset, content, suffix)
    except FileNotFoundError:
        raise _refuse_dataset("the content of the file is gone: upload it again") from None
    except DatasetError as error:
        raise _refuse_dataset(str(error)) from None
    return [AskedPrompt(each) for each in found]


async def _find_past_prompts(
    services: Services, principal: Principal, search: ReplaySearch
) -> list[AskedPrompt]:
    find = partial(find_prompts, shows_presets=Scope.PRESETS in principal.scopes)
    owner = principal.owner_filter(Scope.JOBS)
    found = await services.database.read(find, principal.workspace_id, search, owner)
    if not found:
        raise InvalidRequestError(
            "replay: no completed chat matches whose prompt and answer are kept.", param="replay"
        )
    return found


def _refuse_dataset(reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"dataset_file_id: {reason}.", param="dataset_file_id")


async def _check(
    services: Services,
    principal: Principal,
    new: NewEvaluation,
    prompts: Sequence[AskedPrompt],
) -> None:
    """Check a call of each column and each grader. Raises WaybillError; nothing is written."""
    plan = Plan.of(new.row)
    specification = plan.specification
    for column in range(len(plan.columns)):
        if not plan.is_recorded(column):
            body = build_body(plan, prompts[0].prompt, column)
            await _check_call(services, principal, specification, body)
    for index, grader in enumerate(specification.graders):
        param = f"graders.{index}"
        if isinstance(grader, HttpGrader):
            networks = services.settings.allowed_networks
            check_receiver(grader.url, networks, param=f"{param}.url")
        elif isinstance(grader, SimilarityGrader):
            body = {"model": grader.model, "input": ["x"]}
            await _check_call(services, principal, specification, body, Operation.EMBEDDINGS)
        elif isinstance(grader, JudgeGrader | PairwiseGrader):
            messages = [{"role": "user", "content": "x"}]
            body = {**grader.body, "model": grader.model, "messages": messages}
            await _check_call(services, principal, specification, body)


async def _check_call(
    services: Services,
    principal: Principal,
    specification: Specification,
    body: Json,
    operation: Operation = Operation.CHAT,
) -> None:
    if specification.service_tier is not None:
        body = {"service_tier": specification.service_tier, **body}
    if operation is Operation.CHAT:
        body = await submit.with_preset(services, principal, body)
    options = JobOptions(operation=operation, lane=Lane.BATCH)
    job = submit.admit_job(services, principal, body, options)
    if job.row["store"] == Store.NONE.value:
        raise InvalidRequestError(
            "Answers of this workspace are not kept (`store` is `none`), so they cannot be "
            "evaluated: use a workspace that keeps them.",
            param="body.store",
        )
