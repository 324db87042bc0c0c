"""Gemini's grounding and citations as OpenRouter's `url_citation` annotations.

Source: ai.google.dev/api/generate-content#GroundingMetadata: a segment's indexes count bytes of
UTF-8, and are left out where they are 0.
"""

from typing import Any

from broker.completion import Json


def read_annotations(candidate: Json, text: str) -> list[Json]:
    """Return the sources a candidate names for its whole `text`."""
    return _grounding(candidate.get("groundingMetadata"), text) + _citations(candidate)


def queries(metadata: Any) -> set[str]:
    """Return the searches that grounding was made of; sources without any count as one."""
    if not isinstance(metadata, dict):
        return set()
    told = metadata.get("webSearchQueries")
    asked = {each for each in told if isinstance(each, str) and each} if told else set()
    sources = _objects(metadata.get("groundingChunks"))
    return asked or ({""} if any("web" in each or "maps" in each for each in sources) else set())


def _grounding(metadata: Any, text: str) -> list[Json]:
    if not isinstance(metadata, dict):
        return []
    chunks = [_source(chunk) for chunk in _objects(metadata.get("groundingChunks"))]
    notes: list[Json] = []
    for support in _objects(metadata.get("groundingSupports")):
        segment = support.get("segment")
        place = _place(segment if isinstance(segment, dict) else {}, text)
        indices = support.get("groundingChunkIndices")
        for index in indices if isinstance(indices, list) else ():
            source = chunks[index] if isinstance(index, int) and index < len(chunks) else None
            if source:
                notes.append(_annotation({**source, **place}))
    if not notes:
        notes = [_annotation({**c, "start_index": 0, "end_index": 0}) for c in chunks if c]
    return notes


def _source(chunk: Json) -> Json | None:
    for kind in ("web", "retrievedContext", "maps"):
        held = chunk.get(kind)
        if isinstance(held, dict) and isinstance(uri := held.get("uri"), str) and uri:
            return {"url": uri, "title": held.get("title") or uri}
    return None


def _place(segment: Json, text: str) -> Json:
    quoted = segment.get("text")
    if isinstance(quoted, str) and quoted and (start := text.find(quoted)) >= 0:
        return {"start_index": start, "end_index": start + len(quoted), "content": quoted}
    data = text.encode()
    place: Json = {
        "start_index": _characters(data, segment.get("startIndex")),
        "end_index": _characters(data, segment.get("endIndex")),
    }
    return {**place, "content": quoted} if quoted else place


def _characters(data: bytes, size: Any) -> int:
    return len(data[:size].decode("utf-8", "ignore")) if isinstance(size, int) else 0


def _citations(candidate: Json) -> list[Json]:
    metadata = candidate.get("citationMetadata")
    if not isinstance(metadata, dict):
        return []
    sources = metadata.get("citationSources") or metadata.get("citations")
    return [
        _annotation({
            "url": source["uri"],
            "title": source.get("title") or source["uri"],
            "start_index": source.get("startIndex") or 0,
            "end_index": source.get("endIndex") or 0,
        })
        for source in _objects(sources)
        if source.get("uri")
    ]  # fmt: skip


def _annotation(citation: Json) -> Json:
    return {"type": "url_citation", "url_citation": citation}


def _objects(entries: Any) -> list[Json]:
    found = entries if isinstance(entries, list) else []
    return [entry for entry in found if isinstance(entry, dict)]
