"""Translation of the turns of a Messages request to chat messages."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from broker.completion import Json
from broker.dialects.messages import WIRE
from broker.dialects.messages.reasoning import decode_details, read_block
from broker.errors import InvalidRequestError

_THINKING = ("thinking", "redacted_thinking")
_EXPRESSED: Mapping[str, frozenset[str]] = {
    "text": frozenset({"type", "text", "cache_control"}),
    "image": frozenset({"type", "source", "cache_control"}),
    "document": frozenset({"type", "source", "title", "context", "citations", "cache_control"}),
    "tool_use": frozenset({"type", "id", "name", "input", "cache_control"}),
    "tool_result": frozenset({"type", "tool_use_id", "content", "is_error", "cache_control"}),
}
"""The fields of a block, by its type, that chat expresses."""


def translate_system(system: Any) -> list[Json]:
    """Return the instructions as chat messages: one, or none."""
    if not system:
        return []
    if isinstance(system, str):
        return [{"role": "system", "content": system}]
    return [{"role": "system", "content": _translate_parts(system, "system")}]


def translate_messages(messages: Sequence[Json]) -> list[Json]:
    """Return the turns as chat messages; each tool result is a message of its own.

    Raises InvalidRequestError for a block in a turn of the wrong role.
    """
    translated: list[Json] = []
    for row, message in enumerate(messages):
        field = f"messages.{row}.content"
        content = message["content"]
        if message["role"] == "system":
            translated.append(_translate_instructions(message, field))
        elif isinstance(content, str):
            translated.append({"role": message["role"], "content": content})
        elif message["role"] == "user":
            translated += _translate_user(content, field)
        else:
            translated.append(_translate_assistant(content, field))
    return translated


def _translate_instructions(message: Json, field: str) -> Json:
    """Return instructions within the conversation, which stay there on the wire."""
    content = message["content"]
    if isinstance(content, list):
        for position, block in enumerate(content):
            if block["type"] in ("tool_use", "tool_result", *_THINKING):
                _refuse_role(block, f"{field}.{position}", "system")
        content = _simplify(_translate_parts(content, field))
    return {"role": "system", "content": content, "native": {"wire": WIRE, "role": "system"}}


def _translate_user(blocks: Sequence[Json], field: str) -> Iterator[Json]:
    """Yield the tool results of a turn, then its other blocks, in the order the wire requires."""
    others: list[tuple[int, Json]] = []
    for position, block in enumerate(blocks):
        if block["type"] in ("tool_use", *_THINKING):
            _refuse_role(block, f"{field}.{position}", "user")
        if block["type"] == "tool_result":
            yield _translate_result(block, f"{field}.{position}")
        else:
            others.append((position, block))
    if others or not blocks:
        parts = [each for n, block in others for each in _translate_part(block, f"{field}.{n}")]
        yield {"role": "user", "content": _simplify(parts)}


def _translate_result(block: Json, field: str) -> Json:
    content = block.get("content")
    if isinstance(content, list):
        content = _simplify(_translate_parts(content, f"{field}.content"))
    message: Json = {"role": "tool", "tool_call_id": block["tool_use_id"], "content": content or ""}
    for name in ("is_error", "cache_control"):
        if block.get(name):
            message[name] = block[name]
    if more := _find_unexpressed(block):
        message["native"] = {"wire": WIRE, "fields": more}
    return message


def _translate_assistant(blocks: Sequence[Json], field: str) -> Json:
    details: list[Json] = []
    parts: list[Json] = []
    calls: list[Json] = []
    for position, block in enumerate(blocks):
        kind = block["type"]
        if kind in _THINKING:
            details += read_block(block, len(details))
        elif kind == "tool_use":
            calls.append(_translate_call(block))
        elif kind == "tool_result":
            _refuse_role(block, f"{field}.{position}", "assistant")
        else:
            parts += _translate_part(block, f"{field}.{position}")
    message: Json = {"role": "assistant", "content": _simplify(parts) if parts else None}
    if details:
        message["reasoning_details"] = details
    if calls:
        message["tool_calls"] = calls
    if not _is_in_order(blocks):
        message["native"] = {"wire": WIRE, "content": _list_sent(blocks)}
    return message


def _translate_call(block: Json) -> Json:
    arguments = orjson.dumps(block["input"]).decode()
    mark = {"cache_control": block["cache_control"]} if block.get("cache_control") else {}
    function = {"name": block["name"], "arguments": arguments}
    return {"id": block["id"], "type": "function", "function": function, **mark}


def _is_in_order(blocks: Sequence[Json]) -> bool:
    """Return whether a chat message, which has reasoning, text, calls, expresses the turn."""
    ranks = [
        0 if block["type"] in _THINKING else 2 if block["type"] == "tool_use" else 1
        for block in blocks
        if _is_sent(block)
    ]
    odd = any(block["type"] == "tool_use" and _find_unexpressed(block) for block in blocks)
    return ranks == sorted(ranks) and not odd


def _list_sent(blocks: Sequence[Json]) -> list[Json]:
    return [_drop_foreign_citations(each) for each in blocks if _is_sent(each)]


def _is_sent(block: Json) -> bool:
    """Return whether Anthropic accepts a block: thinking needs its own signature."""
    if block["type"] == "redacted_thinking":
        return decode_details(block["data"]) is None
    if block["type"] == "thinking":
        signature = str(block.get("signature") or "")
        return signature != "" and decode_details(signature) is None
    return True


def _translate_parts(blocks: Sequence[Json], field: str) -> list[Json]:
    return [
        part
        for position, block in enumerate(blocks)
        for part in _translate_part(block, f"{field}.{position}")
    ]


def _translate_part(block: Json, field: str) -> Sequence[Json]:
    """Return the part of a block. Its chat form stands beside it where that is not all of it."""
    block = _drop_foreign_citations(block)
    form = _find_chat_form(block)
    if form is not None and not _find_unexpressed(block):
        return [form]
    native: Json = {"type": "native", "wire": WIRE, "block": block, "field": field}
    instead = [form] if form is not None and form["type"] == "text" else _find_text(block)
    return [native | ({"instead": instead} if instead else {})]


def _find_chat_form(block: Json) -> Json | None:
    """Return the chat part of a block, or None where chat has none."""
    kind = block["type"]
    known = _EXPRESSED.get(kind, ())
    kept = {name: value for name, value in block.items() if name in known and value is not None}
    if kind == "text":
        return kept
    source = block.get("source")
    if kind == "image" and isinstance(source, dict) and source["type"] != "file":
        url = source.get("url") or f"data:{source['media_type']};base64,{source['data']}"
        del kept["source"]
        return kept | {"type": "image_url", "image_url": {"url": url}}
    if kind == "document" and isinstance(source, dict) and source["type"] != "content":
        return kept
    return None


def _drop_foreign_citations(block: Json) -> Json:
    """Return a block without the citations of other vendors' answers.

    `answer` renders those with an empty `encrypted_index`, which Anthropic refuses.
    """
    citations = block.get("citations")
    if block["type"] != "text" or citations is None:
        return block
    kept = [each for each in citations if each.get("encrypted_index") != ""]
    rest = {name: value for name, value in block.items() if name != "citations"}
    return {**rest, "citations": kept} if kept else rest


def _find_unexpressed(block: Json) -> Json:
    """Return the fields of a block that chat does not express."""
    known = _EXPRESSED.get(block["type"])
    if known is None:
        return {}
    return {name: value for name, value in block.items() if name not in known and value is not None}


def _find_text(block: Json) -> Sequence[Json]:
    """Return a search result or a document of texts as a text part; nothing for other blocks."""
    if block["type"] == "search_result":
        head, content = [block["title"], block["source"], ""], block["content"]
    elif block["type"] == "document" and block["source"]["type"] == "content":
        head = [each for name in ("title", "context") if (each := block.get(name))]
        content = block["source"]["content"]
        content = [{"type": "text", "text": content}] if isinstance(content, str) else content
    else:
        return ()
    if any(each["type"] != "text" for each in content):
        return ()
    return [{"type": "text", "text": "\n".join([*head, *(each["text"] for each in content)])}]


def _simplify(parts: list[Json]) -> str | list[Json]:
    """Return a single plain text as a string, which every provider accepts."""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        text: str = parts[0]["text"]
        return text
    return parts


def _refuse_role(block: Json, field: str, role: str) -> None:
    kind = block["type"]
    raise InvalidRequestError(
        f"{field}: a block of type `{kind}` cannot stand in a message of the role `{role}`.",
        param=field,
    )
