"""The text of office documents and web pages. Runs in a process of the pool.

Word documents and web pages become Markdown, each sheet of a workbook becomes CSV, and each slide
becomes its texts and the notes. Pictures are left out.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO, StringIO
from typing import Any

from workers.sandbox.pdf_pages import UnreadableDocumentError

MAX_CHARACTERS = 5_000_000
"""Characters of a document. It is more than any model reads."""

_OFFICE = "application/vnd.openxmlformats-officedocument."
DOCX = f"{_OFFICE}wordprocessingml.document"
XLSX = f"{_OFFICE}spreadsheetml.sheet"
PPTX = f"{_OFFICE}presentationml.presentation"
HTML = "text/html"

MISSING = (
    "Office documents are not read here, because the packages for it are not installed: install "
    "the extra (`pip install 'waybill-broker[documents]'`), or send the text or a PDF."
)


class MissingConverterError(UnreadableDocumentError):
    """The packages for office documents are not installed."""

    def __init__(self, message: str = MISSING) -> None:
        super().__init__(message)


def convert_document(content: bytes, mime: str) -> list[str]:
    """Return the parts of a document: sheets, slides, or the whole text as one part.

    Raises UnreadableDocumentError, and MissingConverterError without the packages.
    """
    try:
        return list(_limit(_CONVERTERS[mime](content)))
    except ImportError:
        raise MissingConverterError from None
    except (UnreadableDocumentError, MemoryError):
        raise
    except Exception as error:  # a broken file can make a library fail in any way
        raise UnreadableDocumentError(
            "The document cannot be read: it is damaged, cut off, or not of the stated type "
            f"({mime}). Send it again, or send its text or a PDF."
        ) from error


def _limit(parts: Iterator[str]) -> Iterator[str]:
    left = MAX_CHARACTERS
    for part in parts:
        left -= len(part)
        if left < 0:
            raise UnreadableDocumentError(
                f"The document has more than {MAX_CHARACTERS:,} characters: send a part of it."
            )
        yield part.replace("\x00", "").encode("utf-8", "replace").decode().strip()


def _read_word(content: bytes) -> Iterator[str]:
    import mammoth

    # a picture would be a data URI in the text
    found = mammoth.convert_to_html(BytesIO(content), convert_image=lambda _: [])
    yield _to_markdown(found.value)


def _read_page(content: bytes) -> Iterator[str]:
    yield _to_markdown(content)


def _to_markdown(html: str | bytes) -> str:
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter

    tree = BeautifulSoup(html, "html.parser")  # finds the encoding of bytes
    for unread in tree(["script", "style", "img", "svg"]):
        unread.decompose()
    text: str = MarkdownConverter(heading_style="ATX").convert_soup(tree)
    return text


def _read_workbook(content: bytes) -> Iterator[str]:
    from openpyxl import load_workbook

    workbook = load_workbook(BytesIO(content), read_only=True, data_only=True)
    try:
        for sheet in workbook.worksheets:
            yield f"## {sheet.title}\n" + "".join(_read_rows(sheet))
    finally:
        workbook.close()


def _read_rows(sheet: Any) -> Iterator[str]:
    """Yield the rows of a sheet that are not empty as lines of CSV."""
    length = 0
    for row in sheet.iter_rows(values_only=True):
        cells = ["" if value is None else str(value) for value in row]
        while cells and not cells[-1]:
            del cells[-1]
        if cells:
            written = StringIO()
            csv.writer(written, lineterminator="\n").writerow(cells)
            line = written.getvalue()
            length += len(line)
            yield line
        if length > MAX_CHARACTERS:  # `_limit` refuses it
            return


def _read_slides(content: bytes) -> Iterator[str]:
    from pptx import Presentation

    for number, slide in enumerate(Presentation(BytesIO(content)).slides, 1):
        texts = [f"## Slide {number}", *_list_texts(slide.shapes)]
        if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame):
            texts += [f"Notes: {notes.text}"] if notes.text.strip() else []
        yield "\n".join(texts)


def _list_texts(shapes: Any) -> Iterator[str]:
    """Yield the texts of shapes, also in groups and in the rows of tables."""
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _list_texts(shape.shapes)
        elif shape.has_text_frame and shape.text_frame.text.strip():
            yield shape.text_frame.text
        elif shape.has_table:
            for row in shape.table.rows:
                yield " | ".join(cell.text for cell in row.cells)


_CONVERTERS: Mapping[str, Callable[[bytes], Iterator[str]]] = {
    DOCX: _read_word,
    XLSX: _read_workbook,
    PPTX: _read_slides,
    HTML: _read_page,
}
