"""POST /moderations: check texts and images for harmful content.

Rules: OpenAI's API reference, "Moderations"; Mistral AI follows its shape and leaves out `flagged`.
"""

from broker.completion import CompletionRequest, Document, Json
from broker.requests.operations import Operation
from workers.adapters.base import HttpRequest, MalformedAnswerError, Upstream
from workers.adapters.openai.usage import read_usage
from workers.operations.base import OperationAdapter, build_json_request, parse_answer, require_list


class OpenAiModerations(OperationAdapter):
    operation = Operation.MODERATIONS
    wires = ("openai", "mistral")

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        return build_json_request("/moderations", request, upstream, request.body)

    def read_response(self, body: bytes, request: CompletionRequest) -> Document:  # noqa: ARG002
        parsed = parse_answer(body)
        results = [_read_result(each) for each in require_list(parsed, "results")]
        if not results:
            raise MalformedAnswerError("no result")
        return Document(
            body={"results": results},
            usage=read_usage(parsed.get("usage")),
            upstream_id=parsed.get("id"),
            upstream_model=parsed.get("model"),
        )


def _read_result(result: Json) -> Json:
    categories = result.get("categories")
    if not isinstance(categories, dict):
        raise MalformedAnswerError("a result has no categories")
    flagged = result.get("flagged")
    return result | {
        "flagged": flagged if isinstance(flagged, bool) else True in categories.values()
    }
