"""Mistral's `reference` chunks as OpenAI's annotations.

Rules: https://docs.mistral.ai/capabilities/citations/. A reference names an entry of a tool result
that the caller sent, a JSON object by reference id.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from broker.completion import CompletionRequest, Json
from workers.adapters.json_shapes import as_object, as_objects, as_text


def annotate(choice: Any, name: str, spoken: int, request: CompletionRequest) -> int:
    """Give a message or delta its references as annotations; return how much is spoken by then."""
    said = as_object(as_object(choice).get(name))
    content = said.get("content")
    if isinstance(content, str):
        return spoken + len(content)
    notes: list[Json] = []
    for part in as_objects(content):
        ids = part.get("reference_ids")
        if part.get("type") == "reference" and isinstance(ids, list):
            notes += [_note(one, spoken, request) for one in ids]
        elif part.get("type") == "text":
            spoken += len(as_text(part.get("text")))
    if notes:
        said["annotations"] = notes
    return spoken


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
    """Return what a reference points to: an entry of a tool result the caller sent."""
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
