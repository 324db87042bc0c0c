"""Images on Google's wire: what is drawn, what is blocked, and Imagen's own method."""

import base64
import json

import pytest

from broker.completion import AttemptOutcome, CompletionRequest, ErrorType
from broker.lifecycle.retries import REACTIONS
from workers.adapters.base import ProviderFailureError, Upstream
from workers.operations.gemini_images import GeminiImages

PNG = base64.b64encode(b"\x89PNG\r\n").decode()
STUDIO = Upstream("g", "https://studio.example/v1beta", "k", wire="gemini")
VERTEX = Upstream("v", "https://vertex.example/v1", "k", quirks=frozenset({"vertex"}))
DRAWS, IMAGEN = "gemini-2.5-flash-image", "imagen-4.0-generate-001"
COUNTED = {"promptTokenCount": 5, "candidatesTokenCount": 7, "totalTokenCount": 12}


def asked(model, **more):
    return CompletionRequest({"prompt": "A red square", **more}, model)


def failure_of(answer, model=DRAWS):
    with pytest.raises(ProviderFailureError) as caught:
        GeminiImages().read_response(json.dumps(answer).encode(), asked(model))
    return caught.value.failure


def candidate(finish, *parts):
    content = {"role": "model", "parts": list(parts)}
    return {"candidates": [{"content": content, "finishReason": finish}], "usageMetadata": COUNTED}


UNDRAWN = [
    (candidate("IMAGE_SAFETY"), ErrorType.CONTENT_POLICY_VIOLATION, "blocked (IMAGE_SAFETY)"),
    (candidate("SAFETY"), ErrorType.CONTENT_POLICY_VIOLATION, "blocked (SAFETY)"),
    (candidate("PROHIBITED_CONTENT"), ErrorType.CONTENT_POLICY_VIOLATION, "PROHIBITED_CONTENT"),
    (candidate("NO_IMAGE"), ErrorType.INVALID_PROMPT, "made no image (NO_IMAGE)"),
    (candidate("STOP", {"text": "I only talk."}), ErrorType.INVALID_PROMPT, "(STOP): I only talk."),
    ({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": COUNTED},
     ErrorType.CONTENT_POLICY_VIOLATION, "The prompt was blocked: SAFETY."),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "kind", "told"), UNDRAWN)
def test_an_answer_without_an_image_is_final_with_its_reason_and_its_usage(answer, kind, told):
    failure = failure_of(answer)
    assert failure.error_type is kind
    assert told in failure.message
    assert failure.outcome is AttemptOutcome.REJECTED
    assert failure.error_type not in REACTIONS  # it is not asked again
    assert failure.answered
    assert failure.usage.input == 5


def test_what_is_drawn_is_kept():
    image = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    document = GeminiImages().read_response(
        json.dumps(candidate("STOP", image)).encode(), asked(DRAWS)
    )
    assert [media.content for media in document.media] == [base64.b64decode(PNG)]


@pytest.mark.parametrize(
    ("upstream", "url"),
    [
        (STUDIO, f"https://studio.example/v1beta/models/{IMAGEN}:predict"),
        (VERTEX, f"https://vertex.example/v1/publishers/google/models/{IMAGEN}:predict"),
    ],
)
def test_imagen_predicts(upstream, url):
    built = GeminiImages().build_request(asked(IMAGEN, n=2, size="1792x1024"), upstream)
    assert built.url == url
    assert json.loads(built.body) == {
        "instances": [{"prompt": "A red square"}],
        "parameters": {"sampleCount": 2, "aspectRatio": "16:9"},
    }


def test_imagens_pictures_are_kept_and_counted():
    answer = {"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": PNG}] * 2}
    document = GeminiImages().read_response(json.dumps(answer).encode(), asked(IMAGEN))
    assert len(document.media) == len(document.body["data"]) == document.usage.output_images == 2


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"predictions": [{"raiFilteredReason": "Violence."}]}, "The image was blocked: Violence."),
        ({"predictions": []}, "the provider gives no reason"),
        ({}, "the provider gives no reason"),
    ],
)
def test_imagen_blocks(answer, told):
    failure = failure_of(answer, IMAGEN)
    assert told in failure.message
    assert failure.error_type is ErrorType.CONTENT_POLICY_VIOLATION
