"""Mistral's OCR: the request, its documented answer, and what is charged."""

import json

import pytest

from broker.completion import CompletionRequest
from workers.adapters.base import MalformedAnswerError, Upstream
from workers.operations.ocr import MistralOcr

MISTRAL = Upstream("mistral", "https://api.mistral.ai/v1", "the-key", wire="mistral")
DOCUMENT = {"type": "document_url", "document_url": "data:application/pdf;base64,JVBERi0="}


def request(**body):
    return CompletionRequest({"document": DOCUMENT, **body}, "mistral-ocr-latest")


def answer(*pages, **more):
    listed = [{"index": index, "markdown": text, "images": []} for index, text in pages]
    return json.dumps({"pages": listed, "model": "mistral-ocr-2512", **more}).encode()


def test_the_pages_are_requested_without_their_pictures():
    built = MistralOcr().build_request(request(pages=[0, 2]), MISTRAL)
    assert built.url == "https://api.mistral.ai/v1/ocr"
    assert built.headers["authorization"] == "Bearer the-key"
    assert json.loads(built.body) == {
        "model": "mistral-ocr-latest",
        "document": DOCUMENT,
        "pages": [0, 2],
        "include_image_base64": False,
    }


def test_texts_are_in_the_order_of_the_request():
    usage = {"pages_processed": 2, "doc_size_bytes": 900}
    body = answer((2, "# Third"), (0, "First"), usage_info=usage)
    read = MistralOcr().read_response(body, request(pages=[0, 2]))
    assert read.body == {"texts": ["First", "# Third"]}
    assert read.usage.input_pages == 2


def test_a_picture_is_one_page():
    read = MistralOcr().read_response(answer((0, "Text")), request())
    assert (read.body["texts"], read.usage.input_pages) == (["Text"], 1)


@pytest.mark.parametrize(
    "body", [answer((0, "First")), answer((0, "First"), (2, None)), b"{}", b"[]", b"<html>"]
)
def test_an_answer_without_a_requested_page_is_malformed(body):
    with pytest.raises(MalformedAnswerError):
        MistralOcr().read_response(body, request(pages=[0, 2]))
