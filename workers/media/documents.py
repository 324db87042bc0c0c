"""Reading of files for models that do not take them: as text, or as pictures of their pages."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from broker.requests.plugins import TEXT_LAYER, Engine
from broker.routing.requirements import OFFICE, TEXTS
from broker.values import immutable
from workers.media.formats import PDF, UnfitError, family, sniff
from workers.media.ocr import Ocr
from workers.media.readers import DocumentReader
from workers.sandbox.office_text import HTML, MissingConverterError
from workers.sandbox.pdf_pages import PageText

_UNSAFE = str.maketrans({'"': "'", "<": "(", ">": ")", "\n": " ", "\r": " "})


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture of a page, as JPEG."""

    content: bytes


Piece: TypeAlias = "str | Picture"


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file in pieces: an opening tag, the pages, a closing tag."""

    pieces: Sequence[Piece]
    name: str
    hash: str | None = None  # of a file that was parsed for this request

    @property
    def has_pictures(self) -> bool:
        return any(isinstance(piece, Picture) for piece in self.pieces)


class PageForm(Enum):
    """The form in which the model gets a page."""

    TEXT = auto()  # of its text layer
    PICTURE = auto()
    OCR = auto()


@immutable
class Reading:
    """The settings for reading files for one endpoint."""

    engine: Engine | None = None  # None = by each page
    sees: bool = False  # the model accepts pictures
    max_pages: int | None = None  # of each file; the rest is left out

    def choose_form(self, page: PageText) -> PageForm:
        """Return the form of a page: its text where that says all that the page shows."""
        if self.engine in (Engine.LOCAL, Engine.OCR):
            return PageForm.OCR
        if self.engine in TEXT_LAYER or not page.is_scanned:
            return PageForm.TEXT
        return PageForm.PICTURE if self.sees else PageForm.OCR


class PageBudget:
    """The pages of one request that may still be drawn or read by OCR."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._left = most

    def take(self, count: int) -> None:
        """Raise UnfitError where fewer pages are left."""
        self._left -= count
        if self._left < 0:
            raise UnfitError(
                f"The request has more than {self._most} pages without usable text. Send a part, "
                "or let the `file-parser` plugin read the first pages only: "
                '`"pdf": {"max_pages": 20}`.'
            )


@dataclass(frozen=True, slots=True)
class Readers:
    """The readers for the files of one request."""

    documents: DocumentReader
    ocr: Ocr
    max_pages: int = 100  # of the request that are drawn or read by OCR


@dataclass(frozen=True, slots=True)
class FileReader:
    """Reads the files of one request."""

    readers: Readers
    reading: Reading
    budget: PageBudget
    known: Mapping[str, Sequence[str]]  # earlier texts, by the hash of the file

    async def read(self, content: bytes, mime: str | None, name: str | None) -> ReadFile:
        """Return the content of a PDF, a picture of a page, or a text file.

        Raises UnfitError for another kind of file, or one without anything to read.
        """
        found = sniff(content)
        if found == PDF and family(mime) != "text":  # a text may contain the signature
            return await self._read_pdf(content, _make_safe(name or "document.pdf"))
        if mime == PDF:
            raise UnfitError("A file is declared as a PDF but is not one. Correct its media type.")
        if family(found or mime) == "image":
            mime = found or mime or "image/png"
            return await self._read_picture(content, mime, _make_safe(name or "picture"))
        if mime in OFFICE or mime == HTML:
            return await self._convert(content, mime, _make_safe(name or "document"))
        return self._read_text(content, mime, name)

    def _read_text(self, content: bytes, mime: str | None, name: str | None) -> ReadFile:
        text = _decode_text(content, mime)
        if text is None:
            raise UnfitError(
                f"A file of type {mime or 'unknown'} cannot be read as text, and the model accepts "
                "no files: send a PDF, an office document or plain text in UTF-8, or choose a "
                "model with `file` input."
            )
        name = _make_safe(name or "document.txt")
        return ReadFile(_frame(name, [text]), name)

    async def _read_pdf(self, content: bytes, name: str) -> ReadFile:
        digest = hashlib.sha256(content).hexdigest()
        if digest in self.known:
            return ReadFile(self.known[digest], name)
        pages = await self.readers.documents.read_pages(content)
        chosen = pages[: self.reading.max_pages]
        forms = [self.reading.choose_form(page) for page in chosen]
        self.budget.take(sum(form is not PageForm.TEXT for form in forms))
        recognized = await self._recognize(content, forms)
        pieces: list[Piece] = []
        has_text = False
        for index, (page, form) in enumerate(zip(chosen, forms, strict=True)):
            label = f"[Page {index + 1} of {len(pages)}]"
            if form is PageForm.PICTURE:
                pieces += [label, Picture(await self.readers.documents.render_page(content, index))]
            else:
                text = page.text if form is PageForm.TEXT else recognized[index]
                pieces.append(f"{label}\n{text}")
                has_text = has_text or bool(text)
        if PageForm.PICTURE not in forms and not has_text:
            raise UnfitError(_explain_empty(name, self.reading, chosen))
        if len(chosen) < len(pages):
            pieces.append(f"[Pages {len(chosen) + 1} to {len(pages)} were left out]")
        return ReadFile(_frame(name, pieces), name, digest)

    async def _recognize(self, content: bytes, forms: Sequence[PageForm]) -> Mapping[int, str]:
        """Return the texts of the pages that need OCR, by their indexes."""
        indexes = [index for index, form in enumerate(forms) if form is PageForm.OCR]
        if not indexes:
            return {}
        found = await self.readers.ocr.read_pages(content, indexes)
        return dict(zip(indexes, found.texts, strict=True))

    async def _convert(self, content: bytes, mime: str, name: str) -> ReadFile:
        digest = hashlib.sha256(content).hexdigest()
        if digest in self.known:
            return ReadFile(self.known[digest], name)
        try:
            parts = await self.readers.documents.convert_document(content, mime)
        except MissingConverterError as error:
            if mime == HTML:
                return self._read_text(content, mime, name)
            raise UnfitError(str(error)) from None
        return ReadFile(_frame(name, parts), name, digest)

    async def _read_picture(self, content: bytes, mime: str, name: str) -> ReadFile:
        digest = hashlib.sha256(content).hexdigest()
        if digest in self.known:
            return ReadFile(self.known[digest], name)
        self.budget.take(1)
        [text] = (await self.readers.ocr.read_picture(content, mime)).texts
        if not text:
            raise UnfitError(
                f"{name!r} has no text that OCR can read: choose a model with `image` input."
            )
        return ReadFile(_frame(name, [text]), name, digest)


def _explain_empty(name: str, reading: Reading, pages: Sequence[PageText]) -> str:
    scanned = any(page.is_scanned for page in pages)
    if scanned and reading.engine in TEXT_LAYER:
        return (
            f"{name!r} has no text to extract, because its pages are scanned: leave out the PDF "
            f"engine {reading.engine.value}, choose {Engine.LOCAL.value}, or choose a model with "
            "`file` input."
        )
    return f"{name!r} has no text to extract, and OCR found none: its pages are empty."


def _frame(name: str, pieces: Sequence[Piece]) -> list[Piece]:
    return [f'<file name="{name}">', *pieces, "</file>"]


def _decode_text(content: bytes, mime: str | None) -> str | None:
    kind = mime or "text/plain"
    if not kind.startswith("text/") and kind not in TEXTS:
        return None
    try:
        return content.decode("utf-8-sig").replace("\x00", "")
    except UnicodeDecodeError:
        return None


def _make_safe(name: str) -> str:
    """Return a name without characters that end the line or the tag around it."""
    return name.translate(_UNSAFE)[:200]
