"""The wire `mistral`: Mistral's chat API, a variation of OpenAI's wire.

Rules: https://docs.mistral.ai/api/, "Chat completion". Mistral refuses unknown fields, so only
known ones are sent. `reference` chunks of its answers become annotations.
"""

from dataclasses import replace
from typing import Any

from broker.completion import Completion, CompletionRequest, Json
from workers.adapters.base import HttpRequest, StreamReader, Upstream
from workers.adapters.json_shapes import as_object, as_objects, parse
from workers.adapters.mistral.request import chat_messages
from workers.adapters.mistral.response import annotate
from workers.adapters.openai import OpenAiAdapter
from workers.adapters.openai.quirks import OpenAiQuirk
from workers.adapters.openai.response import read_response as read_answer
from workers.adapters.openai.stream import OpenAiStreamReader
from workers.adapters.reasoning import read_reasoning_options, refuse_off
from workers.adapters.tool_calls import with_tools

_QUIRKS = frozenset(
    {
        OpenAiQuirk.MAX_TOKENS,
        OpenAiQuirk.NO_STREAM_OPTIONS,
        OpenAiQuirk.NO_DEVELOPER_ROLE,
        OpenAiQuirk.OPENAI_HINTS,
        OpenAiQuirk.RANDOM_SEED,
        OpenAiQuirk.SHORT_TOOL_IDS,
    }
)
_KNOWN = (
    *("temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "n"),
    *("seed", "random_seed", "presence_penalty", "frequency_penalty"),
    *("response_format", "prediction", "parallel_tool_calls", "prompt_mode", "safe_prompt"),
    *("prompt_cache_key", "metadata", "guardrails"),
)


class MistralAdapter(OpenAiAdapter):
    """See `Adapter`."""

    wire = "mistral"
    accepts = frozenset({"image", "file", "audio"})
    fetches = accepts
    reads_files = True

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        result = replace(request, body=_build_openai_body(with_tools(request.body), request.model))
        return super().build_request(result, replace(upstream, quirks=upstream.quirks | _QUIRKS))

    def read_response(self, body: bytes, request: CompletionRequest) -> Completion:
        payload = parse(body)
        for choice in as_objects(as_object(payload).get("choices")):
            annotate(choice, "message", 0, request)
        return read_answer(payload, request)

    def create_stream_reader(self, request: CompletionRequest) -> StreamReader:
        return MistralStreamReader(request)


class MistralStreamReader(OpenAiStreamReader):
    """Reader of OpenAI's stream, and of the `reference` chunks in it."""

    __slots__ = ("_lengths",)

    def __init__(self, request: CompletionRequest) -> None:
        super().__init__(request)
        self._lengths: dict[Any, int] = {}  # characters of the answer so far, per choice

    def _addition(self, choice: Any, payload: Json) -> Json | None:
        index = choice.get("index") if isinstance(choice, dict) else None
        index = index if isinstance(index, int) else 0
        length = self._lengths.get(index, 0)
        self._lengths[index] = annotate(choice, "delta", length, self._request)
        return super()._addition(choice, payload)


def _build_openai_body(chat_body: Json, model: str) -> Json:
    """Return the body in OpenAI's shape, without fields that Mistral refuses."""
    result = {name: chat_body[name] for name in _KNOWN if chat_body.get(name) is not None}
    result["messages"] = chat_messages(chat_body.get("messages"))
    if tools := _tools(chat_body.get("tools")):
        result["tools"] = tools
        if choice := _tool_choice(chat_body.get("tool_choice")):
            result["tool_choice"] = choice
    else:
        result.pop("parallel_tool_calls", None)
    if effort := _effort(chat_body, model):
        result["reasoning_effort"] = effort
    return result


def _tools(given: Any) -> list[Json]:
    functions = as_objects([tool.get("function") for tool in as_objects(given)])
    return [{"type": "function", "function": {"parameters": {}, **one}} for one in functions]


def _tool_choice(given: Any) -> Any:
    if given == "required":
        return "any"
    if allowed := as_object(as_object(given).get("allowed_tools")):
        return "any" if allowed.get("mode") == "required" else "auto"
    return given


def _effort(chat_body: Json, model: str) -> str | None:
    """Return `high` or `none`, Mistral's only efforts, or None. Magistral always reasons.

    https://docs.mistral.ai/capabilities/reasoning/adjustable
    """
    reasoning = read_reasoning_options(chat_body)
    if "magistral" in model and reasoning.wanted is False:
        refuse_off(model)
    if reasoning.wanted is None or "magistral" in model:
        return None
    return "high" if reasoning.wanted and reasoning.effort != "minimal" else "none"
