"""The readers of a workspace's documents, each in a process with limits of time and memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from workers.media.formats import UnfitError
from workers.sandbox.local_ocr import MissingOcrError, recognize_page, recognize_picture
from workers.sandbox.office_text import MissingConverterError, convert_document
from workers.sandbox.pdf_pages import (
    PageText,
    UnreadableDocumentError,
    extract_pages,
    render_page,
)
from workers.sandbox.pool import ProcessLimits, Sandbox, SandboxError

PARSE_SECONDS = 20.0
RENDER_SECONDS = 20.0  # a page
OCR_SECONDS = 60.0  # a page, and the load of the models

OCR_PROCESSES = 2
OCR_LIMITS = ProcessLimits(memory_bytes=3_000_000_000, cpu_seconds=3_000, tasks=50)
"""The address space of OCR has the models, 800 MB of it in use at the largest page."""

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def create_ocr_pool() -> Sandbox:
    """Return the processes for OCR; one page of a workspace is read at a time."""
    return Sandbox(processes=OCR_PROCESSES, per_workspace=OCR_PROCESSES - 1, limits=OCR_LIMITS)


@dataclass(frozen=True, slots=True)
class DocumentReader:
    """Reads the documents of one workspace. Its methods raise UnfitError."""

    sandbox: Sandbox
    ocr: Sandbox
    workspace_id: str

    async def read_pages(self, content: bytes) -> list[PageText]:
        """Return the text layers of a PDF's pages."""
        return await self._run(self.sandbox, PARSE_SECONDS, extract_pages, content)

    async def render_page(self, content: bytes, index: int) -> bytes:
        """Return the picture of a PDF's page as JPEG."""
        return await self._run(self.sandbox, RENDER_SECONDS, render_page, content, index)

    async def convert_document(self, content: bytes, mime: str) -> list[str]:
        """Return the parts of an office document or a web page.

        Raises MissingConverterError, too.
        """
        return await self._run(self.sandbox, PARSE_SECONDS, convert_document, content, mime)

    async def recognize_page(
        self, content: bytes, index: int, languages: Sequence[str] = ()
    ) -> str:
        """Return the text of a PDF's page by OCR. Raises MissingOcrError, too."""
        return await self._run(self.ocr, OCR_SECONDS, recognize_page, content, index, languages)

    async def recognize_picture(self, content: bytes, languages: Sequence[str] = ()) -> str:
        """Return the text of a picture by OCR. Raises MissingOcrError, too."""
        return await self._run(self.ocr, OCR_SECONDS, recognize_picture, content, languages)

    async def _run(
        self,
        pool: Sandbox,
        seconds: float,
        function: Callable[Parameters, Result],
        *arguments: Parameters.args,
        **options: Parameters.kwargs,
    ) -> Result:
        try:
            return await pool.run(self.workspace_id, seconds, function, *arguments, **options)
        except SandboxError as error:
            raise UnfitError(
                f"The document could not be read: {error}. Send a smaller part, or its text."
            ) from None
        except (MissingOcrError, MissingConverterError):
            raise
        except UnreadableDocumentError as error:
            raise UnfitError(str(error)) from None
