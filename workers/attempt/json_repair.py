"""OpenRouter's `response-healing` plugin: repair answers that are almost valid JSON."""

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
MAX_CHARACTERS = 200_000  # a longer answer is not changed
JSON_FORMATS = ("json_object", "json_schema")


@dataclass(frozen=True, slots=True)
class JsonRepair:
    """The JSON that a body requires of its answer."""

    schema: Json | None = None
    must_fit: bool = False  # an answer that does not fit is a failure of the attempt


def read_requested_repair(plugins: Any, body: Json) -> JsonRepair | None:
    """Return the repair that this body requests, or None."""
    form = body.get("response_format")
    if not isinstance(form, dict) or form.get("type") not in JSON_FORMATS:
        return None
    settings = find(plugins, RESPONSE_HEALING)
    if settings is None or not is_on(settings):
        return None
    schema = (form.get("json_schema") or {}).get("schema")
    checked = schema if isinstance(schema, dict) else None
    return JsonRepair(checked, must_fit=settings.get("retry") is True)


async def repair_answer(sandbox: Sandbox, run: JobRun, answer: AttemptAnswer) -> AttemptAnswer:
    """Return a chat's answer with repaired JSON, if the request has the plugin.

    Returns a Failure if the answer must fit and does not.
    """
    requested = read_requested_repair(run.plugins, run.request.body)
    if requested is None or run.job.stream or not isinstance(answer, Completion):
        return answer
    choices = []
    for choice in answer.choices:
        text = _text(choice)
        if text is None:
            choices.append(choice)
            continue
        repaired, violation = await _repair_text(
            sandbox, run.job.workspace_id, text, requested.schema
        )
        if violation and requested.must_fit:
            return Failure(
                AttemptOutcome.REJECTED,
                ErrorType.PROVIDER_UNAVAILABLE,
                f"The model's answer is not the requested JSON: {violation}"[:500],
                provider_code="invalid_json",
            )
        choices.append({**choice, "message": choice["message"] | {"content": repaired}})
    return replace(answer, choices=choices)


async def _repair_text(
    sandbox: Sandbox, workspace_id: str, text: str, schema: Json | None
) -> tuple[str, str | None]:
    """Return the repaired JSON, and its remaining violation of the schema.

    A repair that takes too much time or memory does not change the text.
    """
    if schema is None and _is_json(text):
        return text, None
    try:
        return await sandbox.run(workspace_id, REPAIR_SECONDS, repair, text, schema)
    except SandboxError as error:
        return text, f"it could not be checked, {error}"
    except Exception:  # the answer is paid for, so an error here must not lose it
        log.exception("json_repair.failed")
        return text, "it could not be checked"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _text(choice: Json) -> str | None:
    """Return the text that should be JSON, or None for a refusal, a tool call or a cut answer."""
    message = choice.get("message") or {}
    content = message.get("content")
    is_whole = choice.get("finish_reason") == "stop" and not message.get("tool_calls")
    fits = isinstance(content, str) and 0 < len(content) <= MAX_CHARACTERS
    return content if fits and is_whole and not message.get("refusal") else None
