"""POST /completions: OpenAI's legacy text completion, on the vendors that still serve it.

Rules: OpenAI API reference, "Completions (legacy)". A text is read as the content of a chat
message, and `workers.attempt.response_bodies` converts it back for the caller.
"""

from collections.abc import Mapping
from typing import Any

from broker.completion import Completion, CompletionRequest, Json
from broker.requests.operations import Operation
from workers.adapters.base import HttpRequest, StreamReader, Upstream
from workers.adapters.choices import finish_reason
from workers.adapters.json_shapes import parse, text_field
from workers.adapters.openai.choice import ChoiceStream
from workers.adapters.openai.request import set_streaming
from workers.adapters.openai.response import read_answer_usage, read_native_reason, require_success
from workers.adapters.openai.stream import OpenAiStreamReader
from workers.adapters.openai.usage import find_usage
from workers.operations.base import OperationAdapter, build_json_request, require_list


class OpenAiCompletions(OperationAdapter):
    operation = Operation.COMPLETIONS
    streams = True
    wires = ("openai", "azure")

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        body = dict(request.body)
        set_streaming(body, stream=request.stream, quirks=upstream.quirks)
        return build_json_request("/completions", request, upstream, body)

    def read_response(self, body: bytes, request: CompletionRequest) -> Completion:
        return read_texts(parse(body), request)

    def create_stream_reader(self, request: CompletionRequest) -> StreamReader:
        return TextStream(request)


class TextStream(OpenAiStreamReader):
    """Reader of a streamed text completion: a chat's stream with `text` instead of `delta`."""

    __slots__ = ()

    def _addition(self, choice: Any, payload: Json) -> Json | None:
        if isinstance(choice, dict):
            choice = {**choice, "delta": {"content": _text(choice)}}
        return super()._addition(choice, payload)

    def _requested_choices(self) -> int:
        """Return the number of texts: `n` for each prompt of a list of prompts."""
        prompt = self._request.body.get("prompt")
        each = super()._requested_choices()
        if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int):
            return each * len(prompt)
        return each

    def _new_choice(self, index: int, payload: Json) -> ChoiceStream:
        """Return a choice whose text is not searched for thoughts."""
        del payload
        return ChoiceStream(index, "", thinking=False)


def read_texts(payload: Any, request: CompletionRequest) -> Completion:
    """Read a whole answer. Raises MalformedAnswerError or ProviderFailureError."""
    payload = require_success(payload)
    return Completion(
        choices=[
            _whole_choice(choice, position)
            for position, choice in enumerate(require_list(payload, "choices"))
        ],
        usage=read_answer_usage(find_usage(payload), request),
        upstream_id=text_field(payload, "id"),
        upstream_model=text_field(payload, "model"),
        system_fingerprint=text_field(payload, "system_fingerprint"),
        service_tier=text_field(payload, "service_tier"),
    )


def _whole_choice(choice: Json, position: int) -> Json:
    index = choice.get("index")
    return {
        "index": index if isinstance(index, int) else position,
        "message": {"role": "assistant", "content": _text(choice)},
        "logprobs": choice.get("logprobs"),
        "finish_reason": finish_reason(choice.get("finish_reason"), called=False),
        "native_finish_reason": read_native_reason(choice),
    }


def _text(choice: Mapping[str, Any]) -> str:
    text = choice.get("text")
    return text if isinstance(text, str) else ""
