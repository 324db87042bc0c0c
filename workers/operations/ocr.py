"""OCR by Mistral. The worker calls it for the documents of a chat; callers have no route to it.

Rules: https://docs.mistral.ai/api/, "OCR".
"""

from typing import Any

import orjson

from broker.completion import CompletionRequest, Document, Usage
from workers.adapters.base import HttpRequest, MalformedAnswerError, Upstream
from workers.adapters.openai.adapter import build_headers, build_url
from workers.operations.base import OperationAdapter, parse_answer, require_list


class MistralOcr(OperationAdapter):
    """Reads a `document`; the answer has `texts`, one for each page that was requested."""

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        sent = request.body | {"model": request.model, "include_image_base64": False}
        return HttpRequest(
            url=build_url("/ocr", request.model, upstream),
            headers=build_headers(upstream),
            body=orjson.dumps(sent),
        )

    def read_response(self, body: bytes, request: CompletionRequest) -> Document:
        parsed = parse_answer(body)
        pages = request.body.get("pages") or [0]
        texts = {page.get("index"): page.get("markdown") for page in require_list(parsed, "pages")}
        if not all(isinstance(texts.get(index), str) for index in pages):
            raise MalformedAnswerError("a page has no text")
        billed: Any = parsed.get("usage_info")
        count = billed.get("pages_processed") if isinstance(billed, dict) else None
        return Document(
            body={"texts": [texts[index] for index in pages]},
            usage=Usage(input_pages=count if isinstance(count, int) else len(pages)),
            upstream_model=parsed.get("model"),
        )
