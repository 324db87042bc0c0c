"""POST /v1/ocr: Mistral's API for OCR. The texts state the page and the size of the document.

Rules: https://docs.mistral.ai/api/, "OCR".
"""

from base64 import b64decode
from collections.abc import Iterable
from typing import Any, Final

import orjson

from workers.simulator.http import json_call
from workers.simulator.openai_shapes import OpenAIWire
from workers.simulator.wire import Head, Reply, Request, invalid

KINDS: Final = ("document_url", "image_url")
PAGE_MARK: Final = b"/Type /Page "


class Ocr(OpenAIWire):
    """OCR of a document, or of a picture, in a data URI."""

    def read(self, head: Head, body: bytes) -> Request:
        del head
        call = json_call(body)
        document: Any = call.get("document")
        kind = document.get("type") if isinstance(document, dict) else None
        url = document.get(kind) if kind in KINDS else None
        if not isinstance(url, str) or not url.startswith("data:"):
            raise invalid("Invalid value for 'document': a data URI is read here")
        content = b64decode(url.partition(",")[2])
        pages = call.get("pages")
        if pages is None:
            pages = range(max(content.count(PAGE_MARK), 1))
        texts = [f"Page {index + 1} by OCR, of {len(content)} bytes" for index in pages]
        return Request(call["model"], detail=dict(zip(pages, texts, strict=True)))

    def answer(self, request: Request, reply: Reply) -> bytes:
        del reply
        pages = [
            {"index": index, "markdown": text, "images": [], "dimensions": None}
            for index, text in request.detail.items()
        ]
        usage = {"pages_processed": len(pages), "doc_size_bytes": None}
        return orjson.dumps({"pages": pages, "model": request.model, "usage_info": usage})

    def events(self, request: Request, reply: Reply) -> Iterable[bytes]:
        yield self.answer(request, reply)  # it does not stream
