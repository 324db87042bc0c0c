"""Translation of Mistral's `reference` chunks into OpenAI's annotations.

Rules: https://docs.mistral.ai/capabilities/citations/. A reference names an entry of a tool result
of the request, which is a JSON object by reference id.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from broker.completion import CompletionRequest, Json
from workers.adapters.json_shapes import as_object, as_objects, as_text


def annotate(choice: Any, name: str, offset: int, request: CompletionRequest) -> int:
    """Add a message's or delta's references as annotations, in place.

    `offset` is the number of characters of the answer before it. Return the number after it.
    """
    annotated = as_object(as_object(choice).get(name))
    content = annotated.get("content")
    if isinstance(content, str):
        return offset + len(content)
    notes: list[Json] = []
    for part in as_objects(content):
        ids = part.get("reference_ids")
        if part.get("type") == "reference" and isinstance(ids, list):
            notes += [_note(one, offset, request) for one in ids]
        elif part.get("type") == "text":
            offset += len(as_text(part.get("text")))
    if notes:
        annotated["annotations"] = notes
    return offset


def _note(reference: Any, position: int, request: CompletionRequest) -> Json:
    source = _find_source(str(reference), as_objects(request.body.get("messages")))
    cited = {
        "url": as_text(source.get("url")) or str(reference),
        "title": as_text(source.get("title")) or f"Reference {reference}",
        "start_index": position,
        "end_index": position,
    }
    return {"type": "url_citation", "url_citation": cited}


def _find_source(reference: str, messages: Sequence[Json]) -> Json:
    """Return the entry of a tool result that a reference names, or an empty object."""
    for message in reversed(messages):
        if message.get("role") != "tool":
            continue
        try:
            results = orjson.loads(message.get("content") or "")
        except (orjson.JSONDecodeError, TypeError):
            continue
        if found := as_object(as_object(results).get(reference)):
            return found
    return {}
