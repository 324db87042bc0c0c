"""Annotations of parsed files, in answers and in the messages of later turns.

The form is OpenRouter's (openrouter.ai/docs/features/multimodal/pdfs): the hash of the file's bytes
and its text in pieces.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from broker.completion import Chunk, Completion, Json
from workers.media.documents import ReadFile

AnyAnswer = TypeVar("AnyAnswer")


def annotation(file: ReadFile) -> Json | None:
    """Return the annotation of a parsed file, or None for one that is not parsed again anyway."""
    if file.hash is None or file.has_pictures:
        return None
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
