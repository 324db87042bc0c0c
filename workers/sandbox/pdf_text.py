"""Extraction of the text of a PDF, page by page."""

import logging
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pypdf import PdfReader

MAX_PAGES = 1_000

logging.getLogger("pypdf").setLevel(logging.ERROR)  # it warns about every untidy file


class UnreadablePdfError(Exception):
    """The text of a PDF cannot be read. The message has the reason and the remedy."""


def extract_pages(content: bytes, max_pages: int = MAX_PAGES) -> list[str]:
    """Return the text of each page. Raises UnreadablePdfError where a page cannot be read."""
    from pypdf import PdfReader

    try:
        return _read_pages(PdfReader(BytesIO(content)), max_pages)
    except (UnreadablePdfError, MemoryError):
        raise
    except Exception as error:  # a broken file can make the library fail in any way
        raise UnreadablePdfError(
            "The PDF cannot be read: it is damaged, cut off, or in an unknown form. Send "
            "it again, or send its text."
        ) from error


def _read_pages(reader: "PdfReader", max_pages: int) -> list[str]:
    if reader.is_encrypted and not reader.decrypt(""):
        raise UnreadablePdfError("The PDF is protected by a password.")
    if len(reader.pages) > max_pages:
        raise UnreadablePdfError(f"The PDF has more than {max_pages} pages: send a part of it.")
    return [_clean(page.extract_text()) for page in reader.pages]


def _clean(text: str) -> str:
    """Remove halves of surrogate pairs and NUL, which JSON or a database refuse."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode().strip()
