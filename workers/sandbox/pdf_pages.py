"""The text of a PDF's pages, and their pictures. Runs in a process of the pool."""

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from pypdfium2 import PdfDocument, PdfPage

MAX_PAGES = 1_000
FEW_CHARACTERS = 100
"""A page with fewer characters and a picture over half of it is a scan with a stamp or a number."""

COVERED = 0.5
GARBLED = 0.3
"""The share of characters without a meaning above which a text layer is useless."""

NESTED = 3  # levels of form objects in which pictures are looked for
POINTS_PER_INCH = 72
READABLE_DPI = 150
LONGEST_SIDE = 1_600
"""Pixels of a page's picture. Vision models reduce larger pictures (1,568 at Anthropic)."""

JPEG_QUALITY = 80

PASSWORD = "The PDF is protected by a password: send it without one."  # noqa: S105


class UnreadableDocumentError(Exception):
    """A document cannot be read. The message has the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class PageText:
    """The text layer of one page."""

    text: str
    is_scanned: bool = False  # the page shows something that the text does not contain


def extract_pages(content: bytes, max_pages: int = MAX_PAGES) -> list[PageText]:
    """Return the text layer of each page. Raises UnreadableDocumentError."""
    with _opened(content) as document:
        if len(document) > max_pages:
            raise UnreadableDocumentError(
                f"The PDF has {len(document):,} pages, more than {max_pages:,}: send a part of it."
            )
        return [_read_page(document, index) for index in range(len(document))]


def render_page(content: bytes, index: int) -> bytes:
    """Return the picture of a page as JPEG. Raises UnreadableDocumentError."""
    picture = draw_page(content, index, READABLE_DPI, LONGEST_SIDE)
    written = BytesIO()
    picture.save(written, "JPEG", quality=JPEG_QUALITY)
    return written.getvalue()


def draw_page(content: bytes, index: int, dpi: int, longest_side: int) -> "Image":
    """Return the picture of a page, at most `longest_side` pixels wide and high.

    The size in the file does not decide the size of the picture, so that a page of any size needs
    the same memory.
    """
    with _opened(content) as document:
        page = _load_page(document, index)
        longest = max(page.get_size())
        scale = min(dpi / POINTS_PER_INCH, longest_side / max(longest, 1))
        picture: Image = page.render(scale=scale).to_pil()
        return picture.convert("RGB")


@contextmanager
def _opened(content: bytes) -> Iterator["PdfDocument"]:
    """Open a PDF. Raises UnreadableDocumentError, also for errors of the block."""
    from pypdfium2 import PdfDocument, PdfiumError

    try:
        document = PdfDocument(content)
        try:
            yield document
        finally:
            document.close()
    except (UnreadableDocumentError, MemoryError):
        raise
    except PdfiumError as error:
        if "password" in str(error).lower():
            raise UnreadableDocumentError(PASSWORD) from None
        raise _damaged() from error
    except Exception as error:  # a broken file can make the library fail in any way
        raise _damaged() from error


def _damaged() -> UnreadableDocumentError:
    return UnreadableDocumentError(
        "The PDF cannot be read: it is damaged, cut off, or in an unknown form. Send it again, or "
        "send its text."
    )


def _load_page(document: "PdfDocument", index: int) -> "PdfPage":
    """Load a page with the values of its form fields as a part of its content."""
    if document.get_formtype() and not document.formenv:
        document.init_forms()
    page = document[index]
    if document.formenv:
        page.flatten()
        page = document[index]
    return page


def _read_page(document: "PdfDocument", index: int) -> PageText:
    page = _load_page(document, index)
    text = _clean(page.get_textpage().get_text_range())
    if _is_garbled(text):
        return PageText("", is_scanned=True)
    return PageText(text, is_scanned=len(text) < FEW_CHARACTERS and _shows_more(page, text))


def _shows_more(page: "PdfPage", text: str) -> bool:
    """Return whether a page with little text has a large picture, or drawings only."""
    from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE, FPDF_PAGEOBJ_TEXT

    width, height = page.get_size()
    drawn = False
    for each in page.get_objects(max_depth=NESTED):
        if each.type == FPDF_PAGEOBJ_IMAGE:
            left, bottom, right, top = each.get_bounds()
            if (right - left) * (top - bottom) > COVERED * width * height:
                return True
        drawn = drawn or each.type != FPDF_PAGEOBJ_TEXT
    return drawn and not text


def _is_garbled(text: str) -> bool:
    """Return whether most of a text has no meaning, as with fonts without a character map."""
    bad = sum(unicodedata.category(each) in ("Co", "Cn") or each == "\ufffd" for each in text)
    return bad > GARBLED * len(text)


_REMOVED = str.maketrans({"\x00": None, "\r": None, "\ufffe": None, "\x02": None})
"""NUL, which a database refuses, and PDFium's mark of a hyphen at the end of a line."""


def _clean(text: str) -> str:
    """Return a text without halves of surrogate pairs, which JSON refuses."""
    return text.translate(_REMOVED).encode("utf-8", "replace").decode().strip()
