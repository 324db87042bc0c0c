import io
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfWriter

from tests.workers.media.pdfs import HERE, make_pdf
from workers.media import readers
from workers.media.documents import FileReader, PageBudget, Reading
from workers.media.formats import UnfitError
from workers.media.readers import DocumentReader
from workers.sandbox.pdf_pages import PageText, UnreadableDocumentError, extract_pages
from workers.sandbox.pool import Sandbox

WORD = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789()\\", min_size=1,
               max_size=12)  # fmt: skip
HEADING = ["Heading", "of", "the", "page"]
"""PDFium takes a page that has nothing but single characters for vertical text."""

PAGE = st.lists(st.lists(WORD, min_size=1, max_size=6), max_size=5)


@given(st.lists(PAGE, min_size=1, max_size=6).filter(any))
@settings(deadline=None, max_examples=60)
async def test_no_text_is_lost_between_pages(pages):
    pages = [[HEADING, *page] if page else page for page in pages]
    content = make_pdf(*("\n".join(" ".join(line) for line in page) for page in pages))
    files = FileReader(HERE, Reading(), PageBudget(10), {})
    read = await files.read(content, "application/pdf", "a.pdf")
    opening, *told, end = read.pieces
    assert (opening, end) == ('<file name="a.pdf">', "</file>")
    assert len(told) == len(pages)
    for number, (piece, page) in enumerate(zip(told, pages, strict=True), 1):
        marker, _, text = piece.partition("\n")
        assert marker == f"[Page {number} of {len(pages)}]"
        assert text.split() == [word for line in page for word in line]


def test_too_many_pages_are_refused_not_cut():
    assert len(extract_pages(make_pdf("a", "b"), max_pages=2)) == 2
    with pytest.raises(UnreadableDocumentError, match="3 pages, more than 2"):
        extract_pages(make_pdf("a", "b", "c"), max_pages=2)


@pytest.fixture(scope="module")
def sandbox():
    sandbox = Sandbox()
    yield sandbox
    sandbox.close()


async def test_a_pdf_is_read_in_another_process(sandbox):
    assert await DocumentReader(sandbox, sandbox, "ws_1").read_pages(make_pdf("one", "two")) == [
        PageText("one"),
        PageText("two"),
    ]


async def test_a_slow_file_is_given_up(sandbox, monkeypatch):
    monkeypatch.setattr(readers, "PARSE_SECONDS", 0.3)
    monkeypatch.setattr(readers, "extract_pages", time.sleep)
    began = time.monotonic()
    with pytest.raises(UnfitError, match=r"took more than 0\.3 s"):
        await DocumentReader(sandbox, sandbox, "ws_1").read_pages(30)
    assert time.monotonic() - began < 10


async def test_a_file_that_needs_gigabytes_is_given_up(sandbox, monkeypatch):
    monkeypatch.setattr(readers, "extract_pages", bytearray)
    with pytest.raises(UnfitError, match="too much memory"):
        await DocumentReader(sandbox, sandbox, "ws_1").read_pages(4_000_000_000)


async def test_a_password_is_asked_for(sandbox):
    writer = PdfWriter(clone_from=io.BytesIO(make_pdf("secret")))
    writer.encrypt("word", algorithm="RC4-128")
    locked = io.BytesIO()
    writer.write(locked)
    with pytest.raises(UnfitError, match="password"):
        await DocumentReader(sandbox, sandbox, "ws_1").read_pages(locked.getvalue())


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=60)
def test_rubbish_is_refused_and_never_crashes(rubbish):
    with pytest.raises(UnreadableDocumentError):
        extract_pages(b"%PDF-1.7\n" + rubbish)
