"""Body of a request to the Responses API.

Source: platform.openai.com/docs/api-reference/responses/create.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from broker.completion import CompletionRequest, Json
from workers.adapters.base import refuse, refuse_rare_formats
from workers.adapters.json_shapes import as_object, as_text
from workers.adapters.reasoning import (
    hides_reasoning,
    read_output_limit,
    read_reasoning_options,
)
from workers.adapters.responses.messages import build_input
from workers.adapters.responses.models import encrypts_reasoning
from workers.adapters.responses.tools import build_choice, build_tools
from workers.adapters.tool_calls import with_tools

LEAST_OUTPUT = 16
"""The least `max_output_tokens` that OpenAI accepts."""

_ENCRYPTED = "reasoning.encrypted_content"
_LOGPROBS = "message.output_text.logprobs"

_SAME = (
    *("temperature", "top_p", "user", "safety_identifier", "prompt_cache_key", "truncation"),
    *("prompt_cache_retention", "max_tool_calls", "context_management", "previous_response_id"),
    *("conversation", "prompt"),
)
"""Fields with the same meaning on both wires, or of this wire only."""

_ABSENT: Mapping[str, Sequence[Any]] = {
    "n": (1,),
    "stop": ("", []),
    "seed": (),
    "logit_bias": ({},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "repetition_penalty": (1,),
    "top_k": (0,),
    "min_p": (0,),
    "top_a": (0,),
    "prediction": (),
    "audio": (),
}
"""Fields that this wire lacks, with the values that have no effect."""

_OWN_OPTIONS = ("enabled", "exclude", "max_tokens")
"""OpenRouter's options of `reasoning`, which OpenAI's object does not have."""

_TIERS = {"fast": "priority", "ultrafast": None}
"""OpenRouter's own service tiers, with OpenAI's name; None where OpenAI has none."""


def build_body(request: CompletionRequest, *, background: bool = False) -> Json:
    """Return the body to send. `request.body` is not changed.

    The provider stores the answer only if the body says `store`, or in the background, which is
    always a stream: another one can only continue a stream. Reasoning is requested in
    encrypted form, so that the next turn can send it back. Raises ProviderFailureError for a field
    that this wire lacks.
    """
    body = with_tools(request.body)
    _refuse_absent(body)
    sent: Json = {"model": request.model, "input": build_input(body)}
    sent |= {name: body[name] for name in _SAME if body.get(name) is not None}
    _set_tools(sent, body, request.model)
    _set_text(sent, body)
    _set_reasoning(sent, body)
    _set_limits(sent, body)
    _set_storage(sent, body, request.model)
    if background:
        sent |= {"background": True, "store": True}
    if request.stream or background:
        sent["stream"] = True
    return sent


def _refuse_absent(body: Json) -> None:
    for name, neutral in _ABSENT.items():
        value = body.get(name)
        if value is not None and value not in neutral:
            refuse(
                name,
                "the provider serves this model by the Responses API, which has no such field. "
                "Leave it out, or choose another model.",
            )
    modalities = body.get("modalities")
    if isinstance(modalities, list) and "audio" in modalities:
        refuse(
            "modalities",
            "the provider serves this model by the Responses API, which gives no audio. Choose "
            "another model.",
        )
    refuse_rare_formats(body)


def _set_tools(sent: Json, body: Json, model: str) -> None:
    tools = build_tools(body, model)
    if not tools:  # a choice from nothing is refused
        return
    sent["tools"] = tools
    if (choice := build_choice(body.get("tool_choice"))) is not None:
        sent["tool_choice"] = choice
    if (parallel := body.get("parallel_tool_calls")) is not None:
        sent["parallel_tool_calls"] = parallel


def _set_text(sent: Json, body: Json) -> None:
    text: Json = {}
    wanted = as_object(body.get("response_format"))
    if wanted.get("type") == "json_schema":
        text["format"] = {"type": "json_schema", **as_object(wanted.get("json_schema"))}
    elif wanted:
        text["format"] = wanted
    if verbosity := body.get("verbosity"):
        text["verbosity"] = verbosity
    if text:
        sent["text"] = text


def _set_reasoning(sent: Json, body: Json) -> None:
    """Set `reasoning`. Only a summary that the caller requested is requested.

    OpenAI refuses summaries to organisations that it has not verified.
    """
    given = as_object(body.get("reasoning"))
    options = {name: value for name, value in given.items() if name not in _OWN_OPTIONS}
    requested = read_reasoning_options(body)
    if requested.wanted is False:
        options["effort"] = "none"
    elif requested.effort is not None:
        options["effort"] = requested.effort
    if hides_reasoning(body):
        options.pop("summary", None)
    elif body.get("include_reasoning") is True:
        options.setdefault("summary", "auto")
    options = {name: value for name, value in options.items() if value is not None}
    if options:
        sent["reasoning"] = options


def _set_limits(sent: Json, body: Json) -> None:
    if (limit := read_output_limit(body)) is not None:
        sent["max_output_tokens"] = max(limit, LEAST_OUTPUT)
    tier = as_text(body.get("service_tier"))
    if tier and (name := _TIERS.get(tier, tier)):
        sent["service_tier"] = name


def _set_storage(sent: Json, body: Json, model: str) -> None:
    stores = body.get("store") is True
    sent["store"] = stores
    if stores and (metadata := body.get("metadata")):
        sent["metadata"] = metadata  # otherwise Waybill keeps it
    given = body.get("include")
    include = list(given) if isinstance(given, list) else []
    if encrypts_reasoning(model) and not hides_reasoning(body):
        include.append(_ENCRYPTED)
    if body.get("logprobs") is True:
        include.append(_LOGPROBS)
        if (count := body.get("top_logprobs")) is not None:
            sent["top_logprobs"] = count
    if include:
        sent["include"] = list(dict.fromkeys(include))
