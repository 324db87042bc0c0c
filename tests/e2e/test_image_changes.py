"""Pictures changed: edits and variations by form and by JSON, over every wire that has them."""

import base64
from typing import Any

import httpx
import openai
import pytest
from openai.types.images_response import Usage

from tests.e2e.conftest import PNG
from tests.e2e.wires import GEMINI_LIKE
from tests.installation import Installation

JPEG = b"\xff\xd8\xff\xe0 a picture"
URI = "data:image/png;base64," + base64.b64encode(PNG).decode()
ASKED: dict[str, Any] = {"model": "openai/sim", "prompt": "Make it night"}


def pixels(answer: Any) -> list[bytes]:
    return [base64.b64decode(each.b64_json) for each in answer.data]


@pytest.mark.parametrize("wire", ["openai", "azure", "deployment"])
def test_an_edit_sends_the_picture_and_the_mask(sdk: openai.OpenAI, wire: str) -> None:
    asked = {**ASKED, "model": f"{wire}/sim", "n": 2}
    plain = sdk.images.edit(image=("ship.png", PNG), **asked)
    masked = sdk.images.edit(image=("ship.png", PNG), mask=("mask.png", PNG), **asked)
    assert len({*pixels(plain), *pixels(masked)}) == 4
    Usage.model_validate(plain.usage.model_dump())
    details = masked.usage.input_tokens_details
    assert (details.image_tokens, plain.usage.input_tokens_details.image_tokens) == (516, 258)
    assert masked.usage.output_tokens == 2 * 258
    assert masked.usage.cost > plain.usage.cost > 0
    assert httpx.get(plain.data[0].url).content == pixels(plain)[0]


def test_an_edit_takes_several_pictures_and_options(sdk: openai.OpenAI) -> None:
    edited = sdk.images.edit(
        image=[("a.png", PNG), ("b.jpg", JPEG, "image/jpeg")],
        size="1536x1024",
        quality="high",
        background="transparent",
        output_format="webp",
        response_format="b64_json",
        **ASKED,
    )
    assert edited.usage.input_tokens_details.image_tokens == 2 * 258
    assert (edited.size, edited.quality, edited.background) == ("1536x1024", "high", "transparent")
    assert (edited.output_format, edited.data[0].url) == ("webp", None)


@pytest.mark.parametrize("wire", GEMINI_LIKE)
def test_gemini_sees_the_picture_of_an_edit(sdk: openai.OpenAI, wire: str) -> None:
    model = f"{wire}/sim-image"
    [drawn] = pixels(sdk.images.generate(model=model, prompt="Make it night"))
    [edited] = pixels(sdk.images.edit(image=("a.png", PNG), **{**ASKED, "model": model}))
    [varied] = pixels(sdk.images.create_variation(image=("a.png", PNG), model=model))
    assert len({drawn, edited, varied}) == 3
    with pytest.raises(openai.BadRequestError, match="mask: the model takes no mask"):
        sdk.images.edit(image=("a.png", PNG), mask=("m.png", PNG), **{**ASKED, "model": model})


def test_a_variation_depends_on_the_picture(sdk: openai.OpenAI) -> None:
    one, other = (
        sdk.images.create_variation(image=("a.png", content), model="openai/sim", n=2)
        for content in (PNG, JPEG)
    )
    assert len({*pixels(one), *pixels(other)}) == 4


def test_json_and_a_form_are_the_same_call(
    wires: Installation, sdk: openai.OpenAI, website: str
) -> None:
    by_form = pixels(sdk.images.edit(image=("a.png", PNG), mask=("m.png", PNG), **ASKED))
    for body in (
        {"images": [{"image_url": URI}], "mask": {"image_url": URI}},
        {"images": [{"image_url": f"{website}/cat.png"}], "mask": {"image_url": {"url": URI}}},
    ):
        answer = wires.http.post("/images/edits", json={**ASKED, **body})
        assert answer.status_code == 200, answer.text
        assert [base64.b64decode(each["b64_json"]) for each in answer.json()["data"]] == by_form


@pytest.mark.parametrize("path", ["/images", "/images/generations"])
def test_references_change_a_generation(wires: Installation, path: str) -> None:
    references = [{"type": "image_url", "image_url": {"url": URI}}]
    answer = wires.http.post(path, json={**ASKED, "input_references": references}).json()
    assert answer["usage"]["input_tokens_details"]["image_tokens"] == 258


BAD_FORMS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"prompt": "x"}, "image"),
    ({"image": ("a.png", b"")}, {"prompt": "x"}, "image"),
    ({"image": ("a.png", PNG)}, {}, "prompt"),
    ({"image": ("a.png", PNG)}, {"prompt": "x", "n": "two"}, "n"),
    ({"image": ("a.png", PNG)}, {"prompt": "x", "n": "11"}, "n"),
    ({"image": ("a.png", PNG)}, {"prompt": "x", "background": "red"}, "background"),
    ({"image": ("a.png", PNG)}, {"prompt": "x", "mask": "not a file"}, "mask"),
]


@pytest.mark.parametrize(("files", "fields", "named"), BAD_FORMS)
def test_a_bad_form_is_refused_by_field(
    wires: Installation, files: dict[str, Any], fields: dict[str, Any], named: str
) -> None:
    files = files or {"other": ("a.png", PNG)}
    data = {"model": "openai/sim", **fields}
    answer = wires.http.post("/images/edits", data=data, files=files)
    assert answer.status_code == 400
    assert named in answer.json()["error"]["message"]


BAD_PICTURES = [
    ([], "images"),
    ([{"file_id": "file_1"}], "images"),
    ([{"image_url": "data:image/png;base64,@@"}], "images.0.image_url"),
    ([{"image_url": "data:text/plain,no"}], "images.0.image_url"),
    ([{"image_url": URI}, {"image_url": "http://127.0.0.1:1/x.png"}], "images.1.image_url"),
]


@pytest.mark.parametrize(("images", "named"), BAD_PICTURES)
def test_a_picture_that_cannot_be_read_is_named(
    wires: Installation, images: list[Any], named: str
) -> None:
    answer = wires.http.post("/images/edits", json={**ASKED, "images": images})
    assert answer.status_code == 400, answer.text
    assert named in answer.json()["error"]["message"]
