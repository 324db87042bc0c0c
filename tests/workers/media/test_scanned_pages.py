"""The form of each page, by what it shows, the engine and the model."""

import sys

import pytest

from broker.requests.plugins import Engine, FileParser
from tests.workers.media.document_set import LEFT, RIGHT, mixed
from tests.workers.media.pdfs import data_uri, make_pdf
from tests.workers.media.scans import LETTER, draw, encode, scan
from tests.workers.media.test_preparation import (
    ALL,
    TEXT_ONLY,
    failure_of,
    file,
    image,
    parts_of,
    prepared,
)
from workers.sandbox import local_ocr

SEES = frozenset({"text", "image"})
CACHED = {"cache_control": {"type": "ephemeral"}}


async def test_a_model_that_sees_gets_scanned_pages_as_pictures_in_their_place():
    part = file(data_uri(mixed())) | CACHED
    before, picture, after = await parts_of(part, modalities=SEES)
    assert before["text"].split("\n")[1] == "[Page 1 of 2]"
    assert LEFT in before["text"]
    assert before["text"].endswith("[Page 2 of 2]")
    assert picture["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert after == {"type": "text", "text": "</file>"} | CACHED


async def test_pages_of_pictures_have_no_annotation():
    result = await prepared(file(data_uri(mixed())), modalities=SEES)
    assert result.annotations == []
    [made] = (await prepared(file(data_uri(mixed())), modalities=TEXT_ONLY)).annotations
    assert RIGHT in made["file"]["content"][2]["text"]


async def test_the_local_engine_reads_every_page_for_every_model():
    parser = FileParser(engine=Engine.LOCAL)
    [part] = await parts_of(file(data_uri(scan(draw(LETTER)))), modalities=ALL, parser=parser)
    assert LETTER in part["text"]


async def test_the_engine_for_text_reads_no_scans():
    parser = FileParser(engine=Engine.TEXT)
    [part] = await parts_of(file(data_uri(mixed())), modalities=SEES, parser=parser)
    assert part["text"].endswith("[Page 2 of 2]\n\n</file>")
    failed = await failure_of(file(data_uri(scan(draw("a")))), modalities=SEES, parser=parser)
    assert "leave out the PDF engine pdf-text, choose local-ocr" in failed.message


async def test_later_pages_are_left_out_on_request():
    parser = FileParser(max_pages=2)
    [part] = await parts_of(
        file(data_uri(make_pdf("one", "two", "three", "four"))), modalities=SEES, parser=parser
    )
    assert part["text"].split("\n")[1:] == [
        "[Page 1 of 4]", "one", "[Page 2 of 4]", "two", "[Pages 3 to 4 were left out]", "</file>",
    ]  # fmt: skip


async def test_a_picture_is_a_page_only_where_the_caller_says_so():
    picture = data_uri(encode(draw("Hello")), "image/png")
    failed = await failure_of(image(picture), modalities=TEXT_ONLY)
    assert "no image input" in failed.message
    for parser, part in (
        (FileParser(), file(picture)),
        (FileParser(engine=Engine.LOCAL), image(picture)),
    ):
        [read] = await parts_of(part, modalities=TEXT_ONLY, parser=parser)
        assert "Hello" in read["text"]
        assert await parts_of(image(picture), modalities=SEES, parser=parser) == [image(picture)]


@pytest.fixture
def without_ocr(monkeypatch):
    """The extra `ocr` is not installed."""
    local_ocr._engine.cache_clear()
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    yield
    local_ocr._engine.cache_clear()


@pytest.mark.usefixtures("without_ocr")
async def test_without_the_extra_the_error_names_it():
    for part in (file(data_uri(mixed())), file(data_uri(encode(draw("a")), "image/png"))):
        failed = await failure_of(part, modalities=TEXT_ONLY)
        assert "waybill-broker[ocr]" in failed.message
    [text] = await parts_of(file(data_uri(make_pdf("no scan"))), modalities=TEXT_ONLY)
    assert "no scan" in text["text"]


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\nrubbish", b"GIF89a", b"II*\x00"])
async def test_a_broken_picture_is_refused(content):
    failed = await failure_of(file(data_uri(content, "image/png")), modalities=TEXT_ONLY)
    assert "damaged" in failed.message
