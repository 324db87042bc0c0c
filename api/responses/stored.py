"""Responses as they are stored: looked up by id, and rendered in the state they are in."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence

from redis.exceptions import RedisError

from api.core.services import Services
from api.jobs.actions import find_job
from broker.accounts import Principal
from broker.clock import seconds
from broker.completion import Json
from broker.dialects.base import DialectJob
from broker.dialects.responses import answer, ids
from broker.dialects.responses.input_items import list_references
from broker.dialects.responses.items import continue_turn, read_object
from broker.dialects.responses.output_items import COMPLETED, INCOMPLETE
from broker.dialects.responses.stream import ResponseStream, RunTracker
from broker.enums import Dialect, JobState, Kept
from broker.errors import InvalidRequestError, NotFoundError
from broker.events import job_events
from broker.events.job_events import Event
from broker.jobs import reports
from broker.jobs.reports import JobReport
from broker.jobs.states import INACTIVE
from broker.requests.operations import Operation

PREVIOUS = "previous_response_id"
CALLS = frozenset({"function_call", "custom_tool_call", "tool_search_call"})
MAX_REFERENCED = 50
"""The most responses that the item references of one input may name."""

_WITH_ANSWER = frozenset({COMPLETED, INCOMPLETE})


async def find_response(services: Services, principal: Principal, id_: str) -> JobReport:
    """Return the job of a response. Raises NotFoundError."""
    try:
        found = await find_job(services, principal, ids.job_of_response(id_))
    except NotFoundError:
        raise NotFoundError(f"There is no response {id_[:64]}.") from None
    if found.job.dialect is not Dialect.RESPONSES:
        raise NotFoundError(
            f"{id_[:64]} is no response: GET /api/v1/jobs/{found.job.id} returns this job."
        )
    if found.job.kept is Kept.NOTHING:
        raise NotFoundError(f"The content of the response {id_[:64]} was deleted.")
    return found


def read_dialect_job(report: JobReport) -> DialectJob:
    """Return a job as the dialect renders it."""
    job = report.job
    body = read_object(report.payload.caller_body)
    return DialectJob(job.id, job.model, job.created_at // 1000, body, seconds(job.ended_at))


async def read_response(services: Services, report: JobReport) -> Json:
    """Return the response of a job in its state, as the last event of its stream has it.

    The log of a stream has the items of an answer that broke off, and the order of the items of an
    answer with calls. Others have one order only.
    """
    rendered = render_response(report)
    kinds = {item["type"] for item in rendered["output"]}
    is_ordered = rendered["status"] in _WITH_ANSWER and not (kinds & CALLS and kinds - CALLS)
    if is_ordered or not report.payload.has_log:
        return rendered
    last = await _read_last_response(services, report)
    known = {item["id"] for item in rendered["output"]}
    is_whole = last is not None and known <= {item["id"] for item in last["output"]}
    return last if last is not None and is_whole else rendered


async def _read_last_response(services: Services, report: JobReport) -> Json | None:
    stream, last = ResponseStream(read_dialect_job(report)), None
    async for page in _read_log(services, report):
        for event in page:
            for each in stream.translate(event):
                last = each.get("response", last)
    return last


def render_response(report: JobReport) -> Json:
    """Return the response of a job in its state, from its chat completion."""
    job, state = read_dialect_job(report), report.job.state
    if state is JobState.COMPLETED:
        chat = read_object(report.payload.response)
        return answer.render_answer(job, chat, reports.find_answering_attempt(report))
    if state in INACTIVE:
        return answer.render_failure(job, _read_end(report))
    return answer.render_pending(
        job, answer.IN_PROGRESS if state is JobState.RUNNING else answer.QUEUED
    )


def _read_end(report: JobReport) -> Json:
    end: Json = {"status": report.job.state}
    return end | ({"error": read_object(report.job.error)} if report.job.error else {})


async def find_history(
    services: Services, principal: Principal, body: Json
) -> tuple[Sequence[Json], Mapping[str, Json]]:
    """Return the messages of the previous response, and the stored items that a body refers to.

    Raises InvalidRequestError for a previous response that cannot be continued.
    """
    previous = body.get(PREVIOUS)
    history = await _continue(services, principal, previous) if previous else ()
    return history, await _find_items(services, principal, body)


async def _continue(services: Services, principal: Principal, id_: str) -> Sequence[Json]:
    try:
        found = await find_job(services, principal, ids.job_of_response(id_))
    except NotFoundError:
        raise _refuse_previous(f"there is no response {id_[:64]!r}.") from None
    if found.job.operation is not Operation.CHAT:
        raise _refuse_previous(f"{id_[:64]!r} is no chat.")
    if found.job.state not in INACTIVE:
        raise _refuse_previous(
            f"{id_[:64]!r} has not ended: it is {found.job.state}. Wait for it, then send this."
        )
    if found.job.state is not JobState.COMPLETED:
        raise _refuse_previous(f"{id_[:64]!r} has no answer: it is {found.job.state}.")
    request, chat = read_object(found.payload.request), read_object(found.payload.response)
    if not request or not chat:
        raise _refuse_previous(
            f"the input of {id_[:64]!r} is not stored any more. Send the whole conversation as "
            "`input`."
        )
    return continue_turn(request, read_object(found.payload.extra), chat)


def _refuse_previous(reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"{PREVIOUS}: {reason}", param=PREVIOUS)


async def _find_items(services: Services, principal: Principal, body: Json) -> Mapping[str, Json]:
    """Return the items of earlier answers that the input of a body names, by their ids."""
    references = list_references(body.get("input"))
    named = {job_id for id_ in references if (job_id := ids.job_of_item(id_)) is not None}
    if len(named) > MAX_REFERENCED:
        raise InvalidRequestError(
            f"input: references may name items of {MAX_REFERENCED} responses at most; "
            f"these name {len(named)}. Use {PREVIOUS}.",
            param="input",
        )
    found: dict[str, Json] = {}
    for job_id in named:
        with contextlib.suppress(NotFoundError):  # then it is named as unknown where it stands
            report = await find_job(services, principal, job_id)
            if report.job.state is not JobState.COMPLETED:
                continue
            found |= {item["id"]: item for item in render_response(report)["output"]}
    return found


async def find_superseded(services: Services, report: JobReport) -> int:
    """Return the number of the event at which the latest run of a response began.

    This reads the job's log, if there was another attempt.
    """
    if not report.job.stream or len(report.attempts) < 2:  # noqa: PLR2004
        return 0
    tracker, found = RunTracker(), 0
    async for page in _read_log(services, report):
        found = max([found, *(each.number for each in page if tracker.begins_again(each))])
    return found


async def _read_log(services: Services, report: JobReport) -> AsyncIterator[list[Event]]:
    """Yield the events of a streamed job so far."""
    if report.job.state in INACTIVE:
        log = reports.open_log(report)
        while page := await services.database.read(log.page):
            yield page
        return
    with contextlib.suppress(RedisError, OSError):
        async for page in job_events.read_kept(services.redis, report.job.id):
            yield page
