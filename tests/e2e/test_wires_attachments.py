"""Pictures and documents over every wire, through the `openai` SDK, unchanged.

The simulator says what reached it: how many images and documents, of what type and size, or at
what address.
"""

import base64
import re
from typing import Any

import openai
import pytest

from tests.e2e.conftest import PDF, PNG, WAV
from tests.e2e.wires import GEMINI_LIKE, WIRES
from tests.installation import Installation
from tests.stacks import any_stack
from tests.workers.media.pdfs import data_uri, make_pdf

pytestmark = any_stack

every_wire = pytest.mark.parametrize("wire", WIRES)
TAKES_FILES = ("openai", "mistral", "anthropic", *GEMINI_LIKE)
"""Azure's chat takes no PDFs: its models are given the text, whatever they can do elsewhere."""
FETCHES = ("openai", "mistral", "azure", "deployment", "anthropic", "responses")
"""These are given an image's address; for Gemini the worker fetches it."""


def ask(sdk: openai.OpenAI, model: str, *parts: dict[str, Any], **more: Any) -> Any:
    content = [{"type": "text", "text": "What is it?"}, *parts]
    messages = [*more.pop("earlier", ()), {"role": "user", "content": content}]
    return sdk.chat.completions.create(model=model, messages=messages, **more).choices[0].message


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def file(data: str) -> dict[str, Any]:
    return {"type": "file", "file": {"filename": "paper.pdf", "file_data": data}}


def document(**source: str) -> dict[str, Any]:
    return {"type": "document", "source": source}


def documents(website: str) -> list[dict[str, Any]]:
    """Return the same PDF in every form that the guide knows."""
    data = base64.b64encode(PDF).decode()
    return [
        file(data_uri(PDF)),
        file(f"{website}/paper.pdf"),
        document(type="base64", media_type="application/pdf", data=data),
        document(type="url", url=f"{website}/paper.pdf"),
    ]


@every_wire
def test_an_image_sent_whole(sdk: openai.OpenAI, wire: str) -> None:
    seen = ask(sdk, f"{wire}/sees", image(data_uri(PNG, "image/png"))).content
    assert f"1 image (image/png, {len(PNG)} bytes)" in seen


@every_wire
def test_an_image_by_address(sdk: openai.OpenAI, wire: str, website: str) -> None:
    seen = ask(sdk, f"{wire}/sees", image(f"{website}/cat.png")).content
    what = f"{website}/cat.png" if wire in FETCHES else f"image/png, {len(PNG)} bytes"
    assert f"1 image ({what})" in seen


@every_wire
def test_two_images_keep_their_number(sdk: openai.OpenAI, wire: str) -> None:
    picture = image(data_uri(PNG, "image/png"))
    assert "2 images" in ask(sdk, f"{wire}/sees", picture, picture).content


@pytest.mark.parametrize("form", ["bytes", "address"])
@pytest.mark.parametrize("wire", ["openai", "mistral", "azure", "deployment", *GEMINI_LIKE])
def test_sound(sdk: openai.OpenAI, wire: str, website: str, form: str) -> None:
    """Only Mistral is given the address; OpenAI's form has no place for one."""
    data = base64.b64encode(WAV).decode() if form == "bytes" else f"{website}/talk.wav"
    part = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    seen = ask(sdk, f"{wire}/sees", part).content
    assert "1 sound (" in seen
    assert f", {len(WAV)} bytes)" in seen or (wire, form) == ("mistral", "address")


def test_anthropic_has_no_form_for_sound(sdk: openai.OpenAI) -> None:
    part = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    with pytest.raises(openai.BadRequestError, match="audio"):
        ask(sdk, "anthropic/sees", part)


@every_wire
def test_an_image_for_a_model_that_reads_only_is_refused(sdk: openai.OpenAI, wire: str) -> None:
    with pytest.raises(openai.NotFoundError, match="image") as caught:
        ask(sdk, f"{wire}/reads", image(data_uri(PNG, "image/png")))
    assert re.search(r"Models that can: \w[\w.-]*/\w", caught.value.message)


@pytest.mark.parametrize("form", range(4), ids=["file", "file-url", "document", "document-url"])
@pytest.mark.parametrize("wire", TAKES_FILES)
def test_a_document_goes_as_it_is(sdk: openai.OpenAI, wire: str, website: str, form: int) -> None:
    message = ask(sdk, f"{wire}/sees", documents(website)[form])
    whole = f"1 document (application/pdf, {len(PDF)} bytes)"
    linked = f"1 document ({website}/paper.pdf)"
    assert whole in message.content or linked in message.content
    assert not message.annotations


@pytest.mark.parametrize("form", range(4), ids=["file", "file-url", "document", "document-url"])
@every_wire
def test_a_document_is_read_to_a_model_that_takes_none(
    sdk: openai.OpenAI, wire: str, website: str, form: int
) -> None:
    message = ask(sdk, f"{wire}/reads", documents(website)[form])
    assert "[Page 1 of 2]\nThe first page\n[Page 2 of 2]\nThe second page" in message.content
    [annotation] = message.annotations
    assert annotation.type == "file"


@pytest.mark.parametrize("wire", ["azure", "deployment"])
def test_a_document_is_read_where_the_wire_takes_none(sdk: openai.OpenAI, wire: str) -> None:
    message = ask(sdk, f"{wire}/sees", file(data_uri(PDF)))
    assert len(message.annotations) == 1


@every_wire
def test_annotations_go_back_and_spare_the_parsing(
    wires: Installation, sdk: openai.OpenAI, wire: str
) -> None:
    pdf = make_pdf(f"Page of {wire}")
    first = ask(sdk, f"{wire}/reads", file(data_uri(pdf))).model_dump(exclude_none=True)
    question = {"role": "user", "content": "What was it?"}
    again = ask(sdk, f"{wire}/reads", file(data_uri(pdf)), earlier=[question, first])
    assert f"Page of {wire}" in again.content
    assert not getattr(again, "annotations", None)
    assert wires.calls(first["annotations"][0]["file"]["hash"])["matching"] == 0


@every_wire
def test_a_streams_first_chunk_brings_the_annotations(sdk: openai.OpenAI, wire: str) -> None:
    content = [{"type": "text", "text": "What is it?"}, file(data_uri(PDF))]
    chunks = sdk.chat.completions.create(
        model=f"{wire}/reads", messages=[{"role": "user", "content": content}], stream=True
    )
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert [bool(getattr(delta, "annotations", None)) for delta in deltas] == [True] + [False] * (
        len(deltas) - 1
    )
    assert "The second page" in "".join(delta.content or "" for delta in deltas)


@every_wire
def test_an_address_with_nothing_is_a_400(sdk: openai.OpenAI, wire: str, website: str) -> None:
    with pytest.raises(openai.BadRequestError):
        ask(sdk, f"{wire}/reads", file(f"{website}/nothing.pdf"))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", ["openai", *GEMINI_LIKE])
def test_images_come_out_of_a_chat(sdk: openai.OpenAI, wire: str, stream: bool) -> None:
    """Anthropic's and Mistral's chats draw nothing, Azure's has an endpoint of its own for it."""
    asked = {
        "model": f"{wire}/sim-image",
        "messages": [{"role": "user", "content": "Draw a cat"}],
        "extra_body": {"modalities": ["image", "text"]},
    }
    if stream:
        chunks = sdk.chat.completions.create(**asked, stream=True)
        deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
        found = [each for d in deltas for each in getattr(d, "images", None) or ()]
    else:
        found = sdk.chat.completions.create(**asked).choices[0].message.images
    [picture] = found
    head, _, data = picture["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data).startswith(b"\x89PNG")
