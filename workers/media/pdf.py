"""The text of a PDF, page by page, read in a thread and bounded in pages and time."""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

from pypdf import PdfReader

from workers.media.failures import UnfitError

MAX_PAGES = 1_000
PARSE_SECONDS = 60.0
_READERS = 4  # threads; a page that takes for ever holds one of these, and no other thread

_threads = ThreadPoolExecutor(_READERS, thread_name_prefix="pdf")
logging.getLogger("pypdf").setLevel(logging.ERROR)  # it warns about every untidy file


async def pages_of(content: bytes) -> list[str]:
    """Return the text of each page. Raises UnfitError for what cannot be read in full."""
    deadline = time.monotonic() + PARSE_SECONDS
    reading = asyncio.get_running_loop().run_in_executor(_threads, _pages, content, deadline)
    try:
        async with asyncio.timeout(PARSE_SECONDS):
            return await reading
    except TimeoutError:
        raise _too_slow() from None


def _pages(content: bytes, deadline: float) -> list[str]:
    try:
        return _texts(PdfReader(BytesIO(content)), deadline)
    except UnfitError:
        raise
    except Exception as error:  # a broken file can make the library fail in any way
        raise UnfitError(
            "The PDF cannot be read: it is damaged, cut off, or in a form that is not known. Send "
            "it anew, or its text."
        ) from error


def _texts(reader: PdfReader, deadline: float) -> list[str]:
    if reader.is_encrypted and not reader.decrypt(""):
        raise UnfitError("The PDF is protected by a password.")
    if len(reader.pages) > MAX_PAGES:
        raise UnfitError(f"The PDF has more than {MAX_PAGES} pages: send a part of it.")
    texts = []
    for page in reader.pages:
        if time.monotonic() > deadline:
            raise _too_slow()
        texts.append(_clean(page.extract_text()))
    return texts


def _clean(text: str) -> str:
    """Drop what JSON or a database cannot hold: halves of surrogate pairs and NUL."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode().strip()


def _too_slow() -> UnfitError:
    return UnfitError(f"The PDF's text could not be read within {PARSE_SECONDS:g} seconds.")
