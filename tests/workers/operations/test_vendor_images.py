"""Images at vendors with OpenAI's wire and fields of their own: xAI and Together."""

import base64
import json

import pytest

from broker.completion import CompletionRequest, ErrorType
from broker.providers.vendors import vendors
from broker.requests.operations import Operation
from workers.adapters.base import ProviderFailureError, Upstream
from workers.operations.registry import operation_adapter

URI = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n").decode()
PICTURE = {"image_url": URI}


def sent(vendor, operation, model, **body):
    row = vendors()[vendor]
    adapter = operation_adapter(operation, row.wire, frozenset(row.quirks))
    upstream = Upstream(vendor, row.base_url, "the-key", quirks=frozenset(row.quirks))
    request = CompletionRequest({"prompt": "A ship", **body}, model, slug=f"{vendor}/{model}")
    built = adapter.build_request(request, upstream)
    return built.url, json.loads(built.body)


def test_xai_gets_a_ratio_and_edits_in_json():
    url, body = sent(
        *("xai", Operation.IMAGES, "grok-imagine-image"),
        size="1920x1080", quality="high", stream=True, partial_images=2,
    )  # fmt: skip
    assert url == "https://api.x.ai/v1/images/generations"
    assert body == {
        "model": "grok-imagine-image",
        "prompt": "A ship",
        "aspect_ratio": "16:9",
        "response_format": "b64_json",
    }
    url, body = sent("xai", Operation.IMAGE_EDITS, "grok-imagine-image", images=[PICTURE])
    assert url == "https://api.x.ai/v1/images/edits"
    assert body["image"] == {"url": URI, "type": "image_url"}
    _, body = sent("xai", Operation.IMAGE_EDITS, "grok-imagine-image", images=[PICTURE] * 2)
    assert [each["url"] for each in body["images"]] == [URI, URI]


def test_together_gets_width_and_height_and_references():
    url, body = sent(
        *("together", Operation.IMAGE_EDITS, "black-forest-labs/FLUX.1-kontext-pro"),
        size="1024x768", n=2, seed=3, images=[PICTURE],
    )  # fmt: skip
    assert url == "https://api.together.xyz/v1/images/generations"
    assert (body["width"], body["height"], body["n"], body["seed"]) == (1024, 768, 2, 3)
    assert (body["image_url"], body["response_format"]) == (URI, "base64")


@pytest.mark.parametrize("vendor", ["xai", "together"])
def test_a_mask_is_refused_by_name(vendor):
    with pytest.raises(ProviderFailureError, match="mask: the provider takes no mask") as caught:
        sent(vendor, Operation.IMAGE_EDITS, "m", images=[PICTURE], mask=PICTURE)
    assert caught.value.failure.error_type is ErrorType.INVALID_REQUEST


REFUSED = {
    "error": {
        "message": "Your request was rejected by the safety system.",
        "type": "image_generation_user_error",
        "param": None,
        "code": "moderation_blocked",
    }
}


def test_openais_safety_refusal_is_final_with_its_reason():
    adapter = operation_adapter(Operation.IMAGES, "openai", frozenset())
    failure = adapter.read_error(400, {}, json.dumps(REFUSED).encode())
    assert failure.error_type is ErrorType.CONTENT_POLICY_VIOLATION
    assert "safety system" in failure.message
    assert not failure.answered
