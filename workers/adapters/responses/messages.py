"""Translation of a chat body's messages into input items."""

from typing import Any, NoReturn

from broker.completion import Json
from workers.adapters.base import refuse
from workers.adapters.json_shapes import as_objects, as_text, read_call
from workers.adapters.media import AttachedMedia, MediaKind, read_media
from workers.adapters.responses.reasoning_items import read_reasoning_items
from workers.adapters.tool_history import sixty_four_character_id, with_matched_calls

_TEXTS = ("text", "input_text", "output_text")


def build_input(body: Json) -> list[Json]:
    """Return the input items of a chat body.

    Instructions are items too, not the field `instructions`: xAI does not take that, and OpenAI's
    JSON mode looks for the word "json" in the items only. Raises ProviderFailureError for a part
    that this wire does not have.
    """
    items: list[Json] = []
    custom_ids: set[str] = set()
    stored = body.get("store") is True
    for message in with_matched_calls(body.get("messages"), sixty_four_character_id):
        if not isinstance(message, dict):
            continue
        role = message.get("role")
        if role == "assistant":
            items += read_reasoning_items(message.get("reasoning_details"), stored=stored)
            items += _answer(message)
            items += _calls(message, custom_ids)
        elif role == "tool":
            items.append(_result(message, custom_ids))
        else:
            items.append({"role": role, "content": _content(message.get("content"))})
    return items


def _answer(message: Json) -> list[Json]:
    """Return an assistant's text and refusal as one item; none where it has neither."""
    content = message.get("content")
    given = [{"type": "text", "text": content}] if isinstance(content, str) else as_objects(content)
    parts = [part for each in given if (part := _output_part(each))]
    if refusal := as_text(message.get("refusal")):
        parts.append({"type": "refusal", "refusal": refusal})
    return [{"role": "assistant", "content": parts}] if parts else []


def _output_part(part: Json) -> Json | None:
    kind = part.get("type")
    if kind == "refusal":
        refusal = as_text(part.get("refusal"))
        return {"type": "refusal", "refusal": refusal} if refusal else None
    if kind not in _TEXTS:
        _refuse_part(f"{kind} in an assistant's message")
    text = as_text(part.get("text"))
    return {"type": "output_text", "text": text} if text else None


def _calls(message: Json, custom_ids: set[str]) -> list[Json]:
    items: list[Json] = []
    for entry in as_objects(message.get("tool_calls")):
        kind, holder = read_call(entry)
        call = {"call_id": entry["id"], "name": as_text(holder.get("name"))}
        if kind == "custom":
            custom_ids.add(entry["id"])
            text = as_text(holder.get("input"))
            items.append({"type": "custom_tool_call", **call, "input": text})
        else:
            arguments = as_text(holder.get("arguments")) or "{}"
            items.append({"type": "function_call", **call, "arguments": arguments})
    return items


def _result(message: Json, custom_ids: set[str]) -> Json:
    call_id = message["tool_call_id"]
    kind = "custom_tool_call_output" if call_id in custom_ids else "function_call_output"
    return {"type": kind, "call_id": call_id, "output": _content(message.get("content"))}


def _content(content: Any) -> str | list[Json]:
    """Return a content for the model: a text, or the parts of an input."""
    if not isinstance(content, list):
        return as_text(content)
    return [part for each in as_objects(content) if (part := _input_part(each))]


def _input_part(part: Json) -> Json | None:
    if part.get("type") in _TEXTS:
        return {"type": "input_text", "text": as_text(part.get("text"))}
    if part.get("type") == "refusal":
        return {"type": "input_text", "text": as_text(part.get("refusal"))}
    media = read_media(part)
    if media is None:
        return None
    if media.medium is MediaKind.IMAGE:
        return _image(media, part)
    if media.medium is MediaKind.DOCUMENT:
        return _file(media)
    return _refuse_part(media.medium)


def _image(media: AttachedMedia, part: Json) -> Json:
    given = part.get("image_url")
    detail = given.get("detail") if isinstance(given, dict) else None
    if media.file_id:
        source = {"file_id": media.file_id}
    else:
        source = {"image_url": media.url or _data_uri(media, "image/png")}
    return {"type": "input_image", **source, "detail": detail or "auto"}


def _file(media: AttachedMedia) -> Json:
    if media.file_id:
        return {"type": "input_file", "file_id": media.file_id}
    if media.url:
        return {"type": "input_file", "file_url": media.url}
    name = media.title or ("document.txt" if media.is_text else "document.pdf")
    data = _data_uri(media, "application/pdf")
    return {"type": "input_file", "filename": name, "file_data": data}


def _data_uri(media: AttachedMedia, usual: str) -> str:
    return f"data:{media.mime or usual};base64,{media.data}"


def _refuse_part(what: str) -> NoReturn:
    refuse(
        "messages",
        f"the Responses API takes no {what}. Leave it out, or choose a model that is served by "
        "chat completions.",
    )
