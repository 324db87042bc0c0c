"""POST /completions: OpenAI's legacy text completion, on the vendors that still serve it.

Rules: OpenAI API reference, "Completions (legacy)".
"""

from broker.completion import CompletionRequest, Document
from broker.operations import Operation
from workers.adapters.base import HttpRequest, Upstream
from workers.adapters.openai.usage import read_usage
from workers.operations.base import OperationAdapter, entries
from workers.operations.openai_wire import answer_object, json_request


class OpenAiCompletions(OperationAdapter):
    operation = Operation.COMPLETIONS
    wires = ("openai", "azure")

    def request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        return json_request("/completions", request, upstream, request.body)

    def answer(self, body: bytes, request: CompletionRequest) -> Document:  # noqa: ARG002
        parsed = answer_object(body)
        choices = [
            {
                "index": choice.get("index", place),
                "text": choice.get("text") or "",
                "logprobs": choice.get("logprobs"),
                "finish_reason": choice.get("finish_reason") or "stop",
            }
            for place, choice in enumerate(entries(parsed, "choices"))
        ]
        return Document(
            body={"object": "text_completion", "choices": choices},
            usage=read_usage(parsed.get("usage")),
            upstream_id=parsed.get("id"),
            upstream_model=parsed.get("model"),
        )
