"""Translation of a chat body's messages into Gemini's instruction and contents."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from broker.completion import Json
from workers.adapters.gemini.models import GeminiModel
from workers.adapters.json_shapes import as_objects, read_arguments, read_call
from workers.adapters.media import AttachedMedia, MediaKind, read_media
from workers.adapters.tool_history import unrestricted_id, with_matched_calls

_MOST_LEVELS = 32
"""Levels of JSON that Google accepts. Each takes up to three of protobuf's."""

_MOST_EXACT = 2**53
"""The largest whole number that a double holds exactly. Longer ids would lose digits."""


def passes_unchanged(value: Any, levels: int = _MOST_LEVELS) -> bool:
    """Return whether Google accepts a JSON value and keeps it unchanged."""
    if isinstance(value, dict):
        return levels > 0 and all(
            not name.startswith("$") and passes_unchanged(entry, levels - 1)
            for name, entry in value.items()
        )
    if isinstance(value, list):
        return levels > 0 and all(passes_unchanged(entry, levels - 1) for entry in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) <= _MOST_EXACT
    return True


_USUAL = {
    MediaKind.IMAGE: "image/jpeg",
    MediaKind.DOCUMENT: "application/pdf",
    MediaKind.AUDIO: "audio/wav",
    MediaKind.VIDEO: "video/mp4",
}


def read_parts(content: Any) -> list[Json]:
    """Return the parts of a message's `content`. Drop empty texts."""
    if isinstance(content, str):
        return [{"text": content}] if content else []
    if not isinstance(content, list):
        return []
    return [read for part in content if (read := _part(part))]


def _part(part: Any) -> Json | None:
    if isinstance(part, str):
        return {"text": part} if part else None
    if not isinstance(part, dict):
        return None
    if part.get("type") in ("text", "input_text", "output_text", "refusal"):
        text = part.get("text") or part.get("refusal")
        return {"text": text} if isinstance(text, str) and text else None
    media = read_media(part)
    return _attachment(media) if media else None


def _attachment(media: AttachedMedia) -> Json:
    mime = media.mime or _USUAL[media.medium]
    if media.data is not None:
        return {"inlineData": {"mimeType": mime, "data": media.data}}
    return {"fileData": {"mimeType": mime, "fileUri": media.url or media.file_id}}


FORMAT = "google-gemini-v1"
"""OpenRouter's format name for reasoning details that only Gemini can read."""

_UNSIGNED = "skip_thought_signature_validator"
"""The signature for calls of other models (Google's page on thought signatures)."""


@dataclass(slots=True)
class GeminiConversation:
    """A conversation. Function responses never share a content with other parts."""

    instruction: list[Json] = field(default_factory=list)
    contents: list[Json] = field(default_factory=list)
    _last: str = ""

    def add(self, speaker: str, parts: list[Json]) -> None:
        """Add parts of a speaker: `user`, `model` or `tool`. Join them to its last content."""
        if not parts:
            return
        if self._last == speaker:
            self.contents[-1]["parts"] += parts
        else:
            role = "model" if speaker == "model" else "user"
            self.contents.append({"role": role, "parts": parts})
        self._last = speaker


def read_conversation(messages: Any, model: GeminiModel, *, ids: bool) -> GeminiConversation:
    """Translate `messages`. `ids`: the host accepts ids of calls."""
    conversation = GeminiConversation()
    names: dict[str, str] = {}
    pending: list[Json] = []  # attachments of tool results, which follow all of the results
    for message in with_matched_calls(messages, unrestricted_id):
        if not isinstance(message, dict):
            continue
        role = message.get("role")
        if role != "tool":
            conversation.add("user", pending)
            pending = []
        if role in ("system", "developer"):
            conversation.instruction += read_parts(message.get("content"))
        elif role == "assistant":
            conversation.add("model", _assistant(message, names, model, ids=ids))
        elif role == "tool":
            response, attached = _result(message, names, ids=ids)
            conversation.add("tool", [response])
            pending += attached
        else:
            conversation.add("user", read_parts(message.get("content")))
    conversation.add("user", pending)
    if not conversation.contents and conversation.instruction:
        conversation.add("user", conversation.instruction)
        conversation.instruction = []
    return conversation


def _assistant(
    message: Json, names: dict[str, str], model: GeminiModel, *, ids: bool
) -> list[Json]:
    signatures = _signatures(message.get("reasoning_details"))
    parts = read_parts(message.get("content") or message.get("refusal"))
    if (signature := signatures.get("")) and model.version >= (2, 5):
        texts = [part for part in parts if "text" in part]
        if not texts:
            parts.append({"text": ""})
        (texts or parts)[-1]["thoughtSignature"] = signature
    first = True
    for call in as_objects(message.get("tool_calls")):
        kind, holder = read_call(call)
        if not holder.get("name"):
            continue
        names[call["id"]] = holder["name"]
        given = read_arguments(kind, holder)
        part = _call(call["id"], holder["name"], given, ids=ids)
        signature = _own_signature(call) or signatures.get(call["id"])
        if not signature and first and model.checks_signatures:
            signature = _UNSIGNED  # only the first of parallel calls is signed, and checked
        parts.append(part | ({"thoughtSignature": signature} if signature else {}))
        first = False
    return parts


def _call(call_id: str, name: str, arguments: Any, *, ids: bool) -> Json:
    call: Json = {"name": name, "args": _arguments(arguments)}
    if ids:
        call["id"] = call_id
    return {"functionCall": call}


def _arguments(arguments: Any) -> Json:
    """Return a call's arguments as an object, which this wire requires."""
    parsed = _parse(arguments)
    if isinstance(parsed, dict):
        return parsed
    return {"arguments": arguments} if arguments and parsed != "" else {}


def _result(message: Json, names: dict[str, str], *, ids: bool) -> tuple[Json, list[Json]]:
    """Return the function response, and the attachments that it cannot hold."""
    call_id = message["tool_call_id"]
    name = names.get(call_id) or message.get("name") or "tool"
    parts = read_parts(message.get("content"))
    text = "\n".join(part["text"] for part in parts if "text" in part)
    attached = [part for part in parts if "text" not in part]
    parsed = _parse(text)
    whole = isinstance(parsed, dict) and passes_unchanged(parsed)
    response = {"name": name, "response": parsed if whole else {"output": text}}
    if ids:
        response["id"] = call_id
    if attached:
        attached.insert(0, {"text": f"Attached to the result of {name}:"})
    return {"functionResponse": response}, attached


def _parse(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _signatures(details: Any) -> dict[str, str]:
    """Return the thought signatures by the id of their call. The key of the text is ''."""
    return {
        str(detail.get("id") or ""): detail["data"]
        for detail in (details if isinstance(details, list) else ())
        if isinstance(detail, dict)
        and detail.get("type") == "reasoning.encrypted"
        and detail.get("format") in (None, FORMAT)
        and detail.get("data")
    }


def _own_signature(call: Json) -> Any:
    """Return the signature within a call, as in Google's OpenAI-compatible API."""
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    return google.get("thought_signature") if isinstance(google, dict) else None
