"""Cohere's citations as OpenAI's annotations (https://docs.cohere.com/docs/rag-citations).

Every source of a citation becomes one `url_citation`. Sources are the caller's own documents and
tool results: one without a URL goes by its id.
"""

from typing import Any

from broker.completion import Json
from workers.adapters.json_shapes import objects, text_of


def annotations(given: Any) -> list[Json]:
    """Return the annotations of a list of citations, or of the single one a stream brings."""
    return [note for citation in objects(given) for note in _notes(citation)]


def legacy_annotations(payload: Json) -> list[Json]:
    """Return those of a version 1 answer, whose citations name documents listed beside them."""
    known = {str(one.get("id")): one for one in objects(payload.get("documents"))}
    return [
        _note(citation, str(name), known.get(str(name), {}))
        for citation in objects(payload.get("citations"))
        if isinstance(names := citation.get("document_ids"), list)
        for name in names
    ]


def _notes(citation: Json) -> list[Json]:
    if citation.get("type") not in (None, "TEXT_CONTENT"):
        return []  # its positions count in the plan or the thinking, not in the answer
    sources = objects(citation.get("sources"))
    return [_note(citation, str(one.get("id") or ""), _source(one)) for one in sources]


def _source(source: Json) -> Json:
    for name in ("document", "tool_output"):
        if isinstance(found := source.get(name), dict):
            return found
    return {}


def _note(citation: Json, name: str, source: Json) -> Json:
    cited: Json = {
        "url": text_of(source.get("url")) or name,
        "title": text_of(source.get("title")) or name,
        "start_index": _position(citation.get("start")),
        "end_index": _position(citation.get("end")),
    }
    if text := text_of(citation.get("text")):
        cited["content"] = text
    return {"type": "url_citation", "url_citation": cited}


def _position(value: Any) -> int:
    return value if isinstance(value, int) else 0
