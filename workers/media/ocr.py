"""The interface of OCR engines, and the engine on this machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from workers.media.formats import UnfitError
from workers.media.readers import DocumentReader
from workers.sandbox.local_ocr import MissingOcrError


@dataclass(frozen=True, slots=True)
class Recognition:
    """The texts of pages by OCR, with their cost."""

    texts: Sequence[str]
    cost_nanos: int = 0


class Ocr(Protocol):
    """An OCR engine. Its methods raise UnfitError."""

    async def read_pages(self, content: bytes, indexes: Sequence[int]) -> Recognition:
        """Return the texts of these pages of a PDF, counted from 0."""

    async def read_picture(self, content: bytes, mime: str) -> Recognition:
        """Return the text of a picture, as that of one page."""


@dataclass(frozen=True, slots=True)
class LocalOcr:
    """OCR in a process of this machine, see `workers.sandbox.local_ocr`."""

    reader: DocumentReader
    languages: Sequence[str] = ()  # as Tesseract names them; empty = RapidOCR

    async def read_pages(self, content: bytes, indexes: Sequence[int]) -> Recognition:
        try:
            return Recognition(
                [
                    await self.reader.recognize_page(content, index, self.languages)
                    for index in indexes
                ]
            )
        except MissingOcrError as error:
            raise UnfitError(str(error)) from None

    async def read_picture(self, content: bytes, mime: str) -> Recognition:  # noqa: ARG002
        try:
            return Recognition([await self.reader.recognize_picture(content, self.languages)])
        except MissingOcrError as error:
            raise UnfitError(str(error)) from None
