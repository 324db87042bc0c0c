"""Citations of web pages and search results as OpenRouter's `url_citation` annotations.

Source: platform.claude.com/docs/en/build-with-claude/citations and …/search-results. Citations of a
document in the request have no address, and OpenAI's shape no place for them: they are left out.
"""

from typing import Any

from broker.completion import Json

_WEB = ("http://", "https://")


def read_citations(citations: Any, start: int, end: int) -> list[Json]:
    """Return the annotations of a text block that lies from `start` to `end` in the content."""
    found = citations if isinstance(citations, list) else []
    return [note for citation in found if (note := _annotation(citation, start, end))]


def _annotation(citation: Any, start: int, end: int) -> Json | None:
    if not isinstance(citation, dict):
        return None
    url = citation.get("url") or citation.get("source")
    if not isinstance(url, str) or not url.startswith(_WEB):
        return None
    noted = {"url": url, "title": citation.get("title") or url, "start_index": start}
    noted["end_index"] = end
    if quoted := citation.get("cited_text"):
        noted["content"] = quoted
    return {"type": "url_citation", "url_citation": noted}
