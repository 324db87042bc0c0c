"""Text of PDFs and text files, and its annotations (OpenRouter's `file-parser` plugin)."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias, TypeVar

from broker.completion import Chunk, Completion, Json
from broker.routing.requirements import READABLE
from workers.media.formats import PDF, UnfitError, family, sniff
from workers.sandbox.pdf_text import UnreadablePdfError, extract_pages
from workers.sandbox.pool import Sandbox, SandboxError

PARSE_SECONDS = 20.0

ReadPdf: TypeAlias = Callable[[bytes], Awaitable[list[str]]]
"""Function that returns the text of each page. Raises UnfitError where it cannot."""


def create_pdf_reader(sandbox: Sandbox, workspace_id: str) -> ReadPdf:
    """Return the function that reads a workspace's PDFs."""
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


_UNSAFE = str.maketrans({'"': "'", "<": "(", ">": ")", "\n": " ", "\r": " "})


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file's text in pieces: an opening tag, the pages, a closing tag."""

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
    """Return the text of a PDF or text file. `known` has earlier texts by hash.

    Raises UnfitError for another kind of file, or one without text.
    """
    if sniff(content) == PDF and family(mime) != "text":  # a text may contain the signature
        return await _read_pdf(content, _make_safe(name or "document.pdf"), known, read_pdf)
    if mime == PDF:
        raise UnfitError("A file is declared as a PDF but is not one. Correct its media type.")
    text = _decode_text(content, mime)
    if text is None:
        raise UnfitError(
            f"A file of type {mime or 'unknown'} cannot be read as text, and the model accepts no "
            "files: send a PDF or plain text, or choose a model with `file` input."
        )
    name = _make_safe(name or "document.txt")
    return ReadFile(_frame(name, [text]), name)


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
    return ReadFile(_frame(name, marked), name, digest)


def _frame(name: str, texts: Sequence[str]) -> list[str]:
    return [f'<file name="{name}">', *texts, "</file>"]


def _decode_text(content: bytes, mime: str | None) -> str | None:
    kind = mime or "text/plain"
    if not kind.startswith("text/") and kind not in READABLE:
        return None
    try:
        return content.decode("utf-8-sig").replace("\x00", "")
    except UnicodeDecodeError:
        return None


def _make_safe(name: str) -> str:
    """Return a name without characters that end the line or the tag around it."""
    return name.translate(_UNSAFE)[:200]


AnyAnswer = TypeVar("AnyAnswer")


def annotation(file: ReadFile) -> Json:
    """Return the annotation of a parsed file."""
    content = [{"type": "text", "text": piece} for piece in file.pieces]
    return {"type": "file", "file": {"hash": file.hash, "name": file.name, "content": content}}


def known_files(messages: Sequence[Any]) -> Mapping[str, Sequence[str]]:
    """Return the texts of files in the annotations of earlier turns, by hash."""
    found: dict[str, Sequence[str]] = {}
    for message in messages:
        annotations = message.get("annotations") if isinstance(message, dict) else None
        for each in annotations if isinstance(annotations, list) else ():
            file = each.get("file") if isinstance(each, dict) else None
            if isinstance(file, dict) and isinstance(file.get("hash"), str):
                pieces = _texts(file.get("content"))
                if pieces:
                    found[file["hash"]] = pieces
    return found


def _texts(content: Any) -> list[str]:
    return [
        piece["text"]
        for piece in (content if isinstance(content, list) else ())
        if isinstance(piece, dict) and isinstance(piece.get("text"), str)
    ]


class Annotator:
    """Adder of annotations to an answer: to its first chunk, and to the whole message."""

    def __init__(self, annotations: Sequence[Json]) -> None:
        self._annotations = list(annotations)
        self._pending = bool(annotations)

    def chunk(self, chunk: Chunk) -> Chunk:
        """Return the chunk, with the annotations if it is the first to have choices."""
        if not self._pending or not chunk.choices:
            return chunk
        self._pending = False
        return replace(chunk, choices=self._add_to(chunk.choices, "delta"))

    def answer(self, answer: AnyAnswer) -> AnyAnswer:
        """Return the answer, with the annotations if it is a completion."""
        if not self._annotations or not isinstance(answer, Completion):
            return answer
        return replace(answer, choices=self._add_to(answer.choices, "message"))

    def _add_to(self, choices: Sequence[Json], name: str) -> list[Json]:
        added = []
        for choice in choices:
            annotated = choice.get(name) or {}
            annotations = [*(annotated.get("annotations") or ()), *self._annotations]
            added.append({**choice, name: {**annotated, "annotations": annotations}})
        return added
