"""Small documents that would take hours or gigabytes end at the limits of their process."""

import time
import zlib
from contextlib import suppress
from io import BytesIO

import pytest
from PIL import Image

from tests.workers.media.document_set import FONTS, stream
from tests.workers.media.pdfs import HERE, assemble, make_pdf
from tests.workers.media.scans import draw, encode, scan
from workers.media import Readers, readers
from workers.media.documents import FileReader, PageBudget, Reading
from workers.media.formats import UnfitError
from workers.media.ocr import LocalOcr
from workers.media.readers import OCR_LIMITS, DocumentReader
from workers.sandbox import pdf_pages
from workers.sandbox.pool import Sandbox

SECONDS = 60  # for all that one document may take here


@pytest.fixture(scope="module")
def reader():
    """A reader in real processes."""
    sandbox, ocr = Sandbox(processes=1), Sandbox(processes=1, limits=OCR_LIMITS)
    yield DocumentReader(sandbox, ocr, "ws_1")
    sandbox.close()
    ocr.close()


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(readers, "PARSE_SECONDS", 1.5)
    monkeypatch.setattr(readers, "RENDER_SECONDS", 1.5)
    monkeypatch.setattr(readers, "OCR_SECONDS", 10.0)


def page(content, *, box="0 0 612 792", image=None):
    """A PDF of one page with this content stream, and an image named /I."""
    resources = FONTS if image is None else b"/Resources << /XObject << /I 6 0 R >> >>"
    entries = f"/Type /Page /Parent 2 0 R /MediaBox [{box}] /Contents 5 0 R ".encode()
    return assemble(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            b"<< %s %s >>" % (entries, resources),
            stream(zlib.compress(content), b"/Filter /FlateDecode"),
            *([] if image is None else [image]),
        ]
    )


def picture(side):
    """A grey image of `side` times `side` pixels, in a few kilobytes."""
    packer = zlib.compressobj(9)
    row = bytes(side)
    packed = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    entries = (
        f"/Type /XObject /Subtype /Image /Width {side} /Height {side} /BitsPerComponent 8"
        " /ColorSpace /DeviceGray /Filter /FlateDecode"
    )
    return stream(packed, entries.encode())


WHOLE_PAGE = b"q 612 0 0 792 0 0 cm /I Do Q\n"
BOMBS = {
    "a page of 200 by 200 metres": page(b"0 0 m 9 9 l S", box="0 0 566929 566929"),
    "a page of no height": page(b"0 0 m 9 9 l S", box="0 0 612 0"),
    "an image of 1.6 gigapixels": page(WHOLE_PAGE, image=picture(40_000)),
    "100,000 images": page(WHOLE_PAGE * 100_000, image=picture(2_000)),
    "millions of operators": page(b"0 0 m 9 9 l S\n" * 5_000_000),
    "a font of a gigabyte": page(b"BT /F1 1000000000 Tf (A) Tj ET"),
}


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
async def test_a_bomb_is_read_within_the_limits_or_refused(reader, content):
    assert len(content) < 5_000_000
    began = time.monotonic()
    with suppress(UnfitError):
        await reader.read_pages(content)
    with suppress(UnfitError):
        drawn = Image.open(BytesIO(await reader.render_page(content, 0)))
        assert max(drawn.size) <= pdf_pages.LONGEST_SIDE
        await reader.recognize_page(content, 0)
    assert time.monotonic() - began < SECONDS
    [still_works] = await reader.read_pages(make_pdf("still works"))
    assert still_works.text == "still works"


async def test_a_picture_of_a_gigapixel_is_not_decoded(reader):
    bomb = encode(Image.new("1", (33_000, 33_000)), "PNG")
    assert len(bomb) < 1_000_000
    with pytest.raises(UnfitError, match="too large to be read"):
        await reader.recognize_picture(bomb)


async def test_pages_beyond_the_limit_are_refused_before_the_first_is_read():
    class NoOcr(LocalOcr):
        async def read_pages(self, content, indexes):
            raise AssertionError(f"{len(indexes)} pages were read")

    small = draw("page").resize((124, 175))
    content = scan(*[small] * 300)
    budget = PageBudget(100)
    files = FileReader(Readers(HERE.documents, NoOcr(HERE.documents)), Reading(), budget, {})
    with pytest.raises(UnfitError, match="more than 100 pages without usable text"):
        await files.read(content, "application/pdf", "a.pdf")
