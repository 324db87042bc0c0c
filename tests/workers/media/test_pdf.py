import io
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader, PdfWriter

from tests.workers.media.pdfs import make_pdf
from workers.media import pdf
from workers.media.documents import read_file
from workers.media.failures import UnfitError

WORD = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789()\\", min_size=1,
               max_size=12)  # fmt: skip
PAGE = st.lists(st.lists(WORD, min_size=1, max_size=6), max_size=5)


@given(st.lists(PAGE, min_size=1, max_size=6).filter(any))
@settings(deadline=None, max_examples=60)
async def test_no_text_is_lost_between_pages(pages):
    content = make_pdf(*("\n".join(" ".join(line) for line in page) for page in pages))
    read = await read_file(content, "application/pdf", "a.pdf", {})
    opening, *told, end = read.pieces
    assert (opening, end) == ('<file name="a.pdf">', "</file>")
    assert len(told) == len(pages)
    for number, (piece, page) in enumerate(zip(told, pages, strict=True), 1):
        marker, _, text = piece.partition("\n")
        assert marker == f"[Page {number} of {len(pages)}]"
        assert text.split() == [word for line in page for word in line]
    assert read.text == "\n".join(read.pieces)


async def test_too_many_pages_are_refused_not_cut(monkeypatch):
    monkeypatch.setattr(pdf, "MAX_PAGES", 2)
    assert len(await pdf.pages_of(make_pdf("a", "b"))) == 2
    with pytest.raises(UnfitError, match="2 pages"):
        await pdf.pages_of(make_pdf("a", "b", "c"))


async def test_a_slow_file_is_given_up(monkeypatch):
    monkeypatch.setattr(pdf, "PARSE_SECONDS", 0.2)
    monkeypatch.setattr(pdf, "_texts", lambda *_: time.sleep(1))
    began = time.monotonic()
    with pytest.raises(UnfitError, match="seconds"):
        await pdf.pages_of(make_pdf("a"))
    assert time.monotonic() - began < 0.9


async def test_a_slow_file_stops_at_the_next_page(monkeypatch):
    monkeypatch.setattr(pdf, "PARSE_SECONDS", -1)
    with pytest.raises(UnfitError, match="seconds"):
        pdf._texts(PdfReader(io.BytesIO(make_pdf("a"))), time.monotonic() - 1)


async def test_a_password_is_asked_for():
    writer = PdfWriter(clone_from=io.BytesIO(make_pdf("secret")))
    writer.encrypt("word", algorithm="RC4-128")
    locked = io.BytesIO()
    writer.write(locked)
    with pytest.raises(UnfitError, match="password"):
        await pdf.pages_of(locked.getvalue())


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=60)
async def test_rubbish_is_refused_and_never_crashes(rubbish):
    with pytest.raises(UnfitError):
        await pdf.pages_of(b"%PDF-1.7\n" + rubbish)
