"""The body of POST /responses as a chat body. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from broker.completion import Json
from broker.dialects.base import TranslatedRequest
from broker.dialects.responses import tools
from broker.dialects.responses.input_items import NO_ITEMS, translate_items
from broker.dialects.responses.schemas import ResponseRequest
from broker.dialects.responses.tool_names import OfferedTool, ToolNames, list_offered
from broker.errors import InvalidRequestError
from broker.requests import plugins
from broker.requests.bodies import validated

_LOGPROBS = "message.output_text.logprobs"
_ENCRYPTED_CONTENT = "reasoning.encrypted_content"

_TRANSLATED = frozenset({
    "input", "instructions", "previous_response_id", "background", "stream_options", "include",
    "max_output_tokens", "tools", "tool_choice", "text", "truncation", "store", "top_logprobs",
    "plugins",
})  # fmt: skip
"""Fields with another form in a chat body. All others are passed."""

_IGNORED = ("client_metadata",)
"""Fields that are only about the caller's program."""

_REFUSED: Mapping[str, str] = {
    "conversation": "conversations are not stored here: name the response in previous_response_id",
    "prompt": "prompts of OpenAI's servers are not here: use `preset`, or `instructions`",
    "context_management": "only OpenAI's servers compact a context: use `truncation`",
    "moderation": "only OpenAI's servers moderate a response",
    "background_options": "jobs have no completion window: use POST /jobs with a `deadline`",
    "messages": "this is the Responses API: send `input`, or use POST /chat/completions",
    "max_tokens": "the Responses API has max_output_tokens",
    "response_format": "the Responses API has text.format",
    "n": "a response has one answer",
    "modalities": "a response is text: use POST /chat/completions for other outputs",
}
"""Fields that are refused, with what to do instead."""


def check_request(body: Json) -> None:
    """Check the body of a response. Raises InvalidRequestError that names the field."""
    validated(ResponseRequest, body)
    for name, remedy in _REFUSED.items():
        if body.get(name) is not None and body[name] != _harmless(name):
            raise InvalidRequestError(f"{name}: {remedy}.", param=name)
    if not body.get("input") and not body.get("previous_response_id"):
        raise InvalidRequestError("input: is needed", param="input")


def _harmless(name: str) -> Any:
    """Return the value of a refused field that says nothing new."""
    return {"n": 1, "modalities": ["text"]}.get(name)


def translate_request(
    body: Json, history: Sequence[Json] = (), items: Mapping[str, Json] = NO_ITEMS
) -> TranslatedRequest:
    """Translate a checked body to a chat body.

    `history` are the messages of the previous response with its answer, without its instructions,
    and `items` the stored items that references name, by id. Raises InvalidRequestError.
    """
    warnings: list[str] = []
    chat = {
        name: value
        for name, value in body.items()
        if name not in _TRANSLATED and name not in _REFUSED and value is not None
    }
    warnings += [f"{name}: ignored" for name in _IGNORED if chat.pop(name, None) is not None]
    offered = list_offered(body)
    names = ToolNames(offered)
    chat["messages"] = _translate_messages(body, history, items, names)
    if (most := body.get("max_output_tokens")) is not None:
        chat["max_completion_tokens"] = most
    if body.get("store") is False:
        chat["store"] = False
    _add_tools(chat, body, offered, names, warnings)
    _add_text_options(chat, body.get("text") or {})
    _add_logprobs(chat, body)
    _add_plugins(chat, body)
    _warn_of_options(body, warnings)
    return TranslatedRequest(chat, warnings, is_instructed=bool(body.get("instructions")))


def _translate_messages(
    body: Json, history: Sequence[Json], items: Mapping[str, Json], names: ToolNames
) -> list[Json]:
    given = body.get("input") or []
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    instructions = body.get("instructions")
    first = [{"role": "system", "content": instructions}] if instructions else []
    messages = [*first, *history, *translate_items(given, history, items, names)]
    if not messages:
        raise InvalidRequestError("input: is needed", param="input")
    return messages


def _add_tools(
    chat: Json,
    body: Json,
    offered: Sequence[OfferedTool],
    names: ToolNames,
    warnings: list[str],
) -> None:
    translated = tools.translate_tools(offered, names, warnings)
    if translated:
        chat["tools"] = translated
    choice = tools.translate_choice(body.get("tool_choice"), translated, names)
    if choice is not None:
        chat["tool_choice"] = choice
    if not translated:
        chat.pop("parallel_tool_calls", None)  # refused without tools


def _add_text_options(chat: Json, text: Json) -> None:
    if text.get("verbosity"):
        chat["verbosity"] = text["verbosity"]
    form = text.get("format") or {}
    kind = form.get("type")
    if kind == "json_schema":
        if not isinstance(form.get("schema"), dict):
            raise InvalidRequestError(
                "text.format.schema: is needed, as type says json_schema",
                param="text.format.schema",
            )
        named = {name: value for name, value in form.items() if name != "type"}
        chat["response_format"] = {
            "type": kind,
            kind: {"name": "response", **{k: v for k, v in named.items() if v is not None}},
        }
    elif kind == "json_object":
        chat["response_format"] = {"type": kind}


def _add_logprobs(chat: Json, body: Json) -> None:
    most = body.get("top_logprobs")
    if _LOGPROBS in (body.get("include") or ()) or most:
        chat["logprobs"] = True
        if most:
            chat["top_logprobs"] = most


def _add_plugins(chat: Json, body: Json) -> None:
    """Translate `truncation`, unless the caller has named the plugin for it."""
    given = body.get("plugins") or []
    truncation = body.get("truncation")
    if truncation and plugins.find(given, plugins.CONTEXT_COMPRESSION) is None:
        is_on = truncation == "auto"
        given = [*given, {"id": plugins.CONTEXT_COMPRESSION, "enabled": is_on}]
    if given:
        chat["plugins"] = given


def _warn_of_options(body: Json, warnings: list[str]) -> None:
    known = (_LOGPROBS, _ENCRYPTED_CONTENT)
    warnings += [
        f"include.{place}: {name!r} is not available"
        for place, name in enumerate(body.get("include") or ())
        if name not in known
    ]
    if (body.get("stream_options") or {}).get("include_obfuscation"):
        warnings.append("stream_options.include_obfuscation: deltas are not padded")
