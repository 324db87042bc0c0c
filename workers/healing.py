"""OpenRouter's `response-healing` plugin: JSON that a model nearly wrote becomes the JSON it meant.

Asked for with `plugins: [{"id": "response-healing"}]` and a `response_format` of JSON; with
`"retry": true` an answer that cannot be mended, or does not fit the schema, counts as a failed
attempt. A stream has been shown before it could be mended: it stays as it came.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import json_repair
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from jsonschema.validators import extend
from referencing import Registry

from broker.completion import AttemptOutcome, Completion, ErrorType, Failure, Json
from broker.plugins import RESPONSE_HEALING, find, is_on
from workers.run import Run
from workers.toolbox import Answer

MOST_CHARACTERS = 200_000  # beyond this an answer stays as it came
JSON_FORMATS = ("json_object", "json_schema")


@dataclass(frozen=True, slots=True)
class Healing:
    """What a body asks of its answer."""

    schema: Json | None = None
    must_fit: bool = False  # else a failed attempt


def asked(plugins: Any, body: Json) -> Healing | None:
    """Return what the plugin is to do for this body, or None where it has nothing to do."""
    form = body.get("response_format")
    if not isinstance(form, dict) or form.get("type") not in JSON_FORMATS:
        return None
    settings = find(plugins, RESPONSE_HEALING)
    if settings is None or not is_on(settings):
        return None
    schema = (form.get("json_schema") or {}).get("schema")
    known = schema if isinstance(schema, dict) else None
    return Healing(known, must_fit=settings.get("retry") is True)


async def heal(run: Run, answer: Answer) -> Answer:
    """Mend a chat's JSON where that was asked; a Failure where it must fit and does not."""
    wanted = asked(run.plugins, run.request.body)
    if wanted is None or run.job.stream or not isinstance(answer, Completion):
        return answer
    return await asyncio.to_thread(mended, answer, wanted)


def mended(answer: Completion, wanted: Healing) -> Completion | Failure:
    """Return the answer with every choice's JSON mended. Pure."""
    choices = []
    for choice in answer.choices:
        text = _text(choice)
        if text is None:
            choices.append(choice)
            continue
        healed, trouble = _healed(text, wanted.schema)
        if trouble and wanted.must_fit:
            return Failure(
                AttemptOutcome.REJECTED,
                ErrorType.PROVIDER_UNAVAILABLE,
                f"The model's answer is not the JSON that was asked for: {trouble}"[:500],
                provider_code="invalid_json",
            )
        message = choice["message"] | {"content": healed}
        choices.append({**choice, "message": message})
    return replace(answer, choices=choices)


def _text(choice: Json) -> str | None:
    """Return the text that should be JSON; a refusal, a tool call or a cut answer should not."""
    message = choice.get("message") or {}
    content = message.get("content")
    is_whole = choice.get("finish_reason") == "stop" and not message.get("tool_calls")
    fits = isinstance(content, str) and 0 < len(content) <= MOST_CHARACTERS
    return content if fits and is_whole and not message.get("refusal") else None


def _healed(text: str, schema: Json | None) -> tuple[str, str | None]:
    """Return the JSON that was meant, and what is still wrong with it."""
    try:
        value, healed = json.loads(text), text
    except ValueError:
        value = _repaired(text)
        if value is None:
            return text, "it is no JSON"
        healed = json.dumps(value, ensure_ascii=False)
    trouble = _misfit(value, schema) if schema is not None else None
    return healed, trouble


def _repaired(text: str) -> Any:
    """Return the object or array that a text was to be, or None: prose is not mended into one."""
    try:
        value = json_repair.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) and value else None


def _misfit(value: Any, schema: Json) -> str | None:
    """Say what about a value does not fit its schema; a schema that is none fits everything."""
    try:
        error = best_match(_Validator(schema, registry=_NOWHERE).iter_errors(value))
    except Exception:  # noqa: BLE001  # a caller's schema may be anything
        return None
    return None if error is None else f"{error.json_path}: {error.message}"


def _unchecked(*_: Any) -> Iterator[Any]:
    return iter(())


def _closed(validator: Any, closed: Any, instance: Any, schema: Json) -> Any:
    """Check `additionalProperties`, unless names are given by patterns, which are not tried."""
    check: Callable[..., Any] = Draft202012Validator.VALIDATORS["additionalProperties"]
    named_by_pattern = "patternProperties" in schema
    return () if named_by_pattern else check(validator, closed, instance, schema)


_PATTERNS: Sequence[str] = ("pattern", "patternProperties", "unevaluatedProperties")
_Validator = extend(
    Draft202012Validator,
    {**dict.fromkeys(_PATTERNS, _unchecked), "additionalProperties": _closed},
)
"""JSON Schema without callers' regular expressions: one can take a worker for ever."""

_NOWHERE: Registry[Any] = Registry()
"""References out of the schema are not fetched."""
