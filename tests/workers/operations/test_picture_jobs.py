"""Vendors of pictures: the requests, and their documented answers."""

import base64
import json

import pytest

from broker.completion import AttemptOutcome, BackgroundAnswer, CompletionRequest, ErrorType
from broker.lifecycle.retries import REACTIONS
from workers.adapters.base import MalformedAnswerError, ProviderFailureError, Upstream
from workers.operations.picture_jobs import (
    BlackForestLabsEdits,
    BlackForestLabsImages,
    FalEdits,
    FalImages,
)
from workers.operations.stability_images import StabilityEdits, StabilityImages

PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n").decode()
BFL = Upstream("bfl", "https://api.bfl.ai/v1", "the-key", wire="bfl")
FAL = Upstream("fal", "https://queue.fal.run", "the-key", wire="fal")
STABILITY = Upstream("stability", "https://api.stability.ai", "the-key", wire="stability")
POLL = "https://api.us1.bfl.ai/v1/get_result?id=j1"
RESULT = "https://queue.fal.run/fal-ai/flux/requests/j1"


def asked(model, **body):
    return CompletionRequest({"prompt": "A red square", **body}, model)


def sent(adapter, upstream, model, **body):
    built = adapter.build_request(asked(model, **body), upstream)
    return built, json.loads(built.body)


def test_black_forest_labs_gets_its_own_fields():
    built, body = sent(
        *(BlackForestLabsImages(), BFL, "flux-2-pro"),
        size="1024x768", seed=5, quality="high", n=1, response_format="url",
    )  # fmt: skip
    assert (built.url, built.headers["x-key"]) == ("https://api.bfl.ai/v1/flux-2-pro", "the-key")
    assert "authorization" not in built.headers
    assert body == {"prompt": "A red square", "width": 1024, "height": 768, "seed": 5}
    _, edit = sent(
        *(BlackForestLabsEdits(), BFL, "flux-2-pro"),
        images=[{"image_url": PNG}, {"image_url": PNG}], aspect_ratio="16:9",
    )  # fmt: skip
    data = PNG.partition(",")[2]
    assert (edit["input_image"], edit["input_image_2"]) == (data, data)
    assert edit["aspect_ratio"] == "16:9"


def test_fal_gets_its_own_fields():
    built, body = sent(FalImages(), FAL, "fal-ai/flux/dev", size="512x512", n=2, seed=1)
    assert built.url == "https://queue.fal.run/fal-ai/flux/dev"
    assert built.headers["authorization"] == "Key the-key"
    assert body["image_size"] == {"width": 512, "height": 512}
    assert (body["num_images"], body["seed"]) == (2, 1)
    _, edit = sent(FalEdits(), FAL, "fal-ai/kontext", images=[{"image_url": PNG}])
    assert edit["image_url"] == PNG


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("stable-image-core", "generate/core"),
        ("stable-image-ultra", "generate/ultra"),
        ("sd3.5-large", "generate/sd3"),
    ],
)
def test_stability_gets_a_form(model, path):
    built = StabilityImages().build_request(asked(model, size="1344x768"), STABILITY)
    assert built.url == f"https://api.stability.ai/v2beta/stable-image/{path}"
    assert b'name="aspect_ratio"\r\n\r\n16:9\r\n' in built.body
    assert built.headers["content-type"].startswith("multipart/form-data")
    edit = StabilityEdits().build_request(
        asked(model, images=[{"image_url": PNG}], mask={"image_url": PNG}), STABILITY
    )
    assert edit.url.endswith("/edit/inpaint")
    assert edit.body.count(b"filename=") == 2


def test_a_submission_names_the_job_at_the_providers_own_site():
    answer = BlackForestLabsImages().read_submission(
        json.dumps({"id": "j1", "polling_url": POLL}).encode(), BFL
    )
    assert answer == BackgroundAnswer("j1", POLL)
    built = BlackForestLabsImages().build_poll(answer, BFL)
    assert (built.method, built.url, built.headers["x-key"]) == ("GET", POLL, "the-key")


@pytest.mark.parametrize(
    "url",
    [None, 5, "", "http://api.us1.bfl.ai/x", "https://bfl.ai.example.com/x", "https://evilbfl.ai/"],
)
def test_the_key_is_sent_to_no_other_site(url):
    body = json.dumps({"id": "j1", "polling_url": url}).encode()
    with pytest.raises(MalformedAnswerError):
        BlackForestLabsImages().read_submission(body, BFL)


def polled(status, **more):
    body = json.dumps({"id": "j1", "status": status, **more}).encode()
    return BlackForestLabsImages().read_poll(body, BackgroundAnswer("j1"), asked("flux"), BFL)


def test_a_job_is_polled_until_it_has_a_picture():
    assert polled("Pending") is None
    done = polled("Ready", result={"sample": "https://delivery.bfl.ai/a.png"}, cost=4)
    assert done.body["data"] == [{"url": "https://delivery.bfl.ai/a.png"}]
    assert done.usage.cost_nanos == 40_000_000
    assert done.upstream_id == "j1"


@pytest.mark.parametrize("status", ["Request Moderated", "Content Moderated"])
def test_a_moderated_job_is_a_final_refusal(status):
    with pytest.raises(ProviderFailureError) as caught:
        polled(status, details={"Moderation Reasons": ["Safety Filter"]})
    failure = caught.value.failure
    assert failure.error_type is ErrorType.CONTENT_POLICY_VIOLATION
    assert failure.error_type not in REACTIONS
    assert (failure.outcome, failure.answered) == (AttemptOutcome.REJECTED, False)
    assert f"{status} (Safety Filter)" in failure.message


def test_a_job_that_failed_may_be_made_elsewhere():
    with pytest.raises(ProviderFailureError) as caught:
        polled("Error")
    assert caught.value.failure.error_type is ErrorType.PROVIDER_UNAVAILABLE


def test_fals_result_is_fetched_after_its_state():
    answer = BackgroundAnswer("j1", RESULT)
    fal = FalImages()
    assert fal.build_poll(answer, FAL).url == f"{RESULT}/status"

    def read(status):
        return fal.read_poll(json.dumps({"status": status}).encode(), answer, asked("m"), FAL)

    assert read("IN_QUEUE") is read("IN_PROGRESS") is None
    assert read("COMPLETED").url == RESULT
    images = {"images": [{"url": "https://v3.fal.media/a.png"}], "has_nsfw_concepts": [False]}
    document = fal.read_response(json.dumps(images).encode(), asked("m"))
    assert document.body["data"] == [{"url": "https://v3.fal.media/a.png"}]
    with pytest.raises(ProviderFailureError, match="safety checker"):
        fal.read_response(json.dumps({**images, "has_nsfw_concepts": [True]}).encode(), asked("m"))


REFUSALS = [
    (FalImages(), 422, {"detail": [{"loc": ["body", "prompt"], "type": "content_policy_violation",
     "msg": "The content contained material flagged by a content checker."}]}),
    (StabilityImages(), 403, {"id": "x", "name": "content_moderation", "errors": [
     "Your request was flagged by our content moderation system and denied."]}),
]  # fmt: skip


@pytest.mark.parametrize(("adapter", "status", "body"), REFUSALS)
def test_a_refused_request_is_a_policy_violation(adapter, status, body):
    failure = adapter.read_error(status, {}, json.dumps(body).encode())
    assert failure.error_type is ErrorType.CONTENT_POLICY_VIOLATION
    assert "flagged" in failure.message
