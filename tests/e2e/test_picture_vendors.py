"""Vendors of pictures with wires of their own: jobs that are polled, and forms."""

import base64
from typing import Any

import httpx
import openai
import pytest

from tests.e2e.batching import create, ended, results
from tests.e2e.conftest import PNG
from tests.e2e.wires import PICTURE_WIRES
from tests.installation import Installation, until

EVERY = pytest.mark.parametrize("wire", PICTURE_WIRES)
PROMPT = "A red square"


def drawn(answer: Any) -> list[bytes]:
    return [base64.b64decode(each.b64_json) for each in answer.data]


@EVERY
def test_a_picture_is_stored_and_paid_by_the_piece(sdk: openai.OpenAI, wire: str) -> None:
    images = sdk.images.generate(model=f"{wire}/sim", prompt=PROMPT, size="1024x1024")
    [image] = images.data
    assert httpx.get(image.url).content == base64.b64decode(image.b64_json)
    assert image.b64_json.startswith("iVBOR")
    assert images.usage.cost == pytest.approx(0.04)


@EVERY
def test_a_picture_is_changed(sdk: openai.OpenAI, wire: str) -> None:
    model = f"{wire}/sim"
    edit = sdk.images.edit
    made = drawn(sdk.images.generate(model=model, prompt=PROMPT))
    changed = drawn(edit(model=model, prompt=PROMPT, image=("a.png", PNG)))
    masked = drawn(edit(model=model, prompt=PROMPT, image=("a.png", PNG), mask=("m.png", PNG)))
    assert len({*made, *changed, *masked}) == 3


@EVERY
def test_a_refusal_is_final_with_its_reason_and_costs_nothing(
    wires: Installation, wire: str
) -> None:
    asked = {"model": f"{wire}/sim", "prompt": f"a forbidden thing by {wire}"}
    answer = wires.http.post("/images/generations", json=asked)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["metadata"]["error_type"] == "content_policy_violation"
    assert "The image was blocked" in error["message"]
    job = wires.job(answer.headers["x-job-id"])
    assert [each["outcome"] for each in job["attempts"]] == ["rejected"]
    assert wires.ask("SELECT count(*) FROM generations WHERE job_id = ?", job["id"])[0][0] == 0


def test_several_pictures_come_where_the_vendor_makes_them(sdk: openai.OpenAI) -> None:
    images = sdk.images.generate(model="fal/sim", prompt=PROMPT, n=3)
    assert len(set(drawn(images))) == 3
    assert images.usage.cost == pytest.approx(0.12)
    with pytest.raises(openai.BadRequestError, match="n: the provider makes one picture"):
        sdk.images.generate(model="bfl/sim", prompt=PROMPT, n=2)
    with pytest.raises(openai.BadRequestError, match="images: the provider takes one picture"):
        sdk.images.edit(model="stability/sim", prompt=PROMPT, image=[("a.png", PNG)] * 2)


def test_a_job_streams_its_picture_at_the_end(sdk: openai.OpenAI) -> None:
    [only] = list(sdk.images.generate(model="bfl/sim", prompt=PROMPT, stream=True))
    assert only.type == "image_generation.completed"
    assert only.usage.cost == pytest.approx(0.04)


def test_a_cancelled_job_is_cancelled_at_the_vendor(wires: Installation) -> None:
    asked = {"model": "fal/slow", "prompt": "A picture that nobody waits for"}
    job = wires.http.post("/jobs", json={"endpoint": "/v1/images/generations", "body": asked})
    job_id = job.json()["id"]
    query = "SELECT background FROM attempts WHERE job_id = ? AND background IS NOT NULL"
    until(lambda: bool(wires.ask(query, job_id)), 20, "the job is not submitted")
    before = wires.calls()["cancelled"]
    wires.http.post(f"/jobs/{job_id}/cancel")
    until(lambda: wires.calls()["cancelled"] == before + 1, 20, "the vendor's job goes on")
    assert wires.await_job(job_id)["status"] == "cancelled"


def test_an_edit_may_be_a_line_of_a_batch(wires: Installation) -> None:
    uri = "data:image/png;base64," + base64.b64encode(PNG).decode()
    body = {"model": "openai/sim", "prompt": PROMPT, "images": [{"image_url": uri}]}
    lines = [{"custom_id": "one", "url": "/v1/images/edits", "body": body}]
    batch = ended(wires, create(wires, lines, endpoint="/v1/images/edits")["id"])
    [entry] = results(wires, batch["id"])["one"]["response"]["body"]["data"]
    path = entry["url"].partition("/api/v1")[2]
    assert wires.http.get(path).content.startswith(PNG[:4])
