"""A file as text, for a model that takes no files; as OpenRouter's `file-parser` plugin does it.

Source: openrouter.ai/docs/features/multimodal/pdfs. The text stands between `<file name="…">` and
`</file>`; each page of a PDF begins with a marker.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from broker.needs import READABLE
from workers.media.failures import UnfitError
from workers.media.formats import PDF, family, sniff
from workers.media.pdf import ReadPdf

_UNSAFE = str.maketrans({'"': "'", "<": "(", ">": ")", "\n": " ", "\r": " "})


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file's text, in pieces: an opening, the pages, an end."""

    pieces: Sequence[str]
    name: str
    hash: str | None = None  # of a PDF that was parsed for this request

    @property
    def text(self) -> str:
        return "\n".join(self.pieces)


async def read_file(
    content: bytes,
    mime: str | None,
    name: str | None,
    known: Mapping[str, Sequence[str]],
    read_pdf: ReadPdf,
) -> ReadFile:
    """Return a PDF's or text file's text; `known` holds earlier parsings by hash.

    Raises UnfitError for a file of another kind, or without text.
    """
    if sniff(content) == PDF and family(mime) != "text":  # a text may speak of PDFs
        return await _read_pdf(content, _safe(name or "document.pdf"), known, read_pdf)
    if mime == PDF:
        raise UnfitError("A file is said to be a PDF, and is none.")
    text = _plain(content, mime)
    if text is None:
        raise UnfitError(
            f"A file of type {mime or 'unknown'} cannot be read as text, and the model takes no "
            "files: send a PDF or plain text, or choose a model with `file` input."
        )
    name = _safe(name or "document.txt")
    return ReadFile(_framed(name, [text]), name)


async def _read_pdf(
    content: bytes, name: str, known: Mapping[str, Sequence[str]], read_pdf: ReadPdf
) -> ReadFile:
    digest = hashlib.sha256(content).hexdigest()
    if digest in known:
        return ReadFile(known[digest], name)
    pages = await read_pdf(content)
    if not any(pages):
        raise UnfitError(
            f"{name!r} has no text to extract (scanned pages?): choose a model with `file` input."
        )
    marked = [f"[Page {n} of {len(pages)}]\n{page}" for n, page in enumerate(pages, 1)]
    return ReadFile(_framed(name, marked), name, digest)


def _framed(name: str, texts: Sequence[str]) -> list[str]:
    return [f'<file name="{name}">', *texts, "</file>"]


def _plain(content: bytes, mime: str | None) -> str | None:
    kind = mime or "text/plain"
    if not kind.startswith("text/") and kind not in READABLE:
        return None
    try:
        return content.decode("utf-8-sig").replace("\x00", "")
    except UnicodeDecodeError:
        return None


def _safe(name: str) -> str:
    """Return a name that cannot end the line or the tag it stands in."""
    return name.translate(_UNSAFE)[:200]
