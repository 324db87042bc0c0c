"""OpenRouter's `response-healing` plugin: repair JSON that a model nearly wrote."""

import json
from dataclasses import dataclass, replace
from typing import Any

import structlog

from broker.completion import AttemptAnswer, AttemptOutcome, Completion, ErrorType, Failure, Json
from broker.requests.plugins import RESPONSE_HEALING, find, is_on
from workers.attempt.job_run import JobRun
from workers.sandbox.json_text import repair
from workers.sandbox.pool import Sandbox, SandboxError

log = structlog.get_logger()

REPAIR_SECONDS = 5.0  # for the JSON of one choice
MOST_CHARACTERS = 200_000  # beyond this an answer stays as it came
JSON_FORMATS = ("json_object", "json_schema")


@dataclass(frozen=True, slots=True)
class JsonRepair:
    """The JSON that a body requires of its answer."""

    schema: Json | None = None
    must_fit: bool = False  # else a failed attempt


def requested_repair(plugins: Any, body: Json) -> JsonRepair | None:
    """Return what the plugin is to do for this body, or None where it has nothing to do."""
    form = body.get("response_format")
    if not isinstance(form, dict) or form.get("type") not in JSON_FORMATS:
        return None
    settings = find(plugins, RESPONSE_HEALING)
    if settings is None or not is_on(settings):
        return None
    schema = (form.get("json_schema") or {}).get("schema")
    known = schema if isinstance(schema, dict) else None
    return JsonRepair(known, must_fit=settings.get("retry") is True)


async def repair_answer(sandbox: Sandbox, run: JobRun, answer: AttemptAnswer) -> AttemptAnswer:
    """Repair a chat's JSON where that was requested; a Failure where it must fit and does not."""
    wanted = requested_repair(run.plugins, run.request.body)
    if wanted is None or run.job.stream or not isinstance(answer, Completion):
        return answer
    choices = []
    for choice in answer.choices:
        text = _text(choice)
        if text is None:
            choices.append(choice)
            continue
        healed, violation = await _repair_text(sandbox, run.job.workspace_id, text, wanted.schema)
        if violation and wanted.must_fit:
            return Failure(
                AttemptOutcome.REJECTED,
                ErrorType.PROVIDER_UNAVAILABLE,
                f"The model's answer is not the JSON that was asked for: {violation}"[:500],
                provider_code="invalid_json",
            )
        choices.append({**choice, "message": choice["message"] | {"content": healed}})
    return replace(answer, choices=choices)


async def _repair_text(
    sandbox: Sandbox, workspace_id: str, text: str, schema: Json | None
) -> tuple[str, str | None]:
    """Return the repaired JSON, and what is still wrong with it.

    A repair that takes too much time or memory leaves the text as it came.
    """
    if schema is None and _is_json(text):
        return text, None
    try:
        return await sandbox.run(workspace_id, REPAIR_SECONDS, repair, text, schema)
    except SandboxError as error:
        return text, f"it could not be checked, {error}"
    except Exception:  # the answer is paid: whatever fails here, it is delivered or charged
        log.exception("healing.failed")
        return text, "it could not be checked"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _text(choice: Json) -> str | None:
    """Return the text that should be JSON; a refusal, a tool call or a cut answer should not."""
    message = choice.get("message") or {}
    content = message.get("content")
    is_whole = choice.get("finish_reason") == "stop" and not message.get("tool_calls")
    fits = isinstance(content, str) and 0 < len(content) <= MOST_CHARACTERS
    return content if fits and is_whole and not message.get("refusal") else None
