"""The text of a PDF, read in a process that can be killed."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from workers.media.failures import UnfitError
from workers.sandbox.pdf_text import UnreadablePdfError, extract_pages
from workers.sandbox.pool import Sandbox, SandboxError

PARSE_SECONDS = 20.0

ReadPdf: TypeAlias = Callable[[bytes], Awaitable[list[str]]]
"""Returns the text of each page. Raises UnfitError for what cannot be read in full."""


def pdf_reader(sandbox: Sandbox, workspace_id: str) -> ReadPdf:
    """Return what reads a workspace's PDFs."""
    return partial(_read, sandbox, workspace_id)


async def _read(sandbox: Sandbox, workspace_id: str, content: bytes) -> list[str]:
    try:
        return await sandbox.run(workspace_id, PARSE_SECONDS, extract_pages, content)
    except SandboxError as error:
        raise UnfitError(
            f"The PDF's text could not be read: {error}. Send a smaller part, or its text."
        ) from None
    except UnreadablePdfError as error:
        raise UnfitError(str(error)) from None
