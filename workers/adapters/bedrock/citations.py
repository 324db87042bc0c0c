"""Converse's citations as OpenAI's annotations (API_runtime_Citation)."""

from typing import Any

from broker.completion import Json
from workers.adapters.json_shapes import an_object, objects, text_of


def annotation(citation: Any, start: int, end: int) -> Json | None:
    """Return the `url_citation` of a passage; a source without a URL goes by its own name."""
    citation = an_object(citation)
    places = objects(list(an_object(citation.get("location")).values()))
    title = text_of(citation.get("title"))
    names = [
        *(text_of(place.get("url")) for place in places),
        text_of(citation.get("source")),
        title,
    ]
    url = next(filter(None, names), None)
    if url is None:
        return None
    cited: Json = {
        "url": url,
        "title": title or url,
        "start_index": start,
        "end_index": end,
    }
    return {"type": "url_citation", "url_citation": cited}
