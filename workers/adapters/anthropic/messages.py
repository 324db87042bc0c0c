"""Translation of a chat body's messages into system blocks and turns of the Messages API."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from broker.completion import AttemptOutcome, ErrorType, Failure, Json
from broker.requests.native import is_native, read_fields, read_native
from workers.adapters.base import ProviderFailureError
from workers.adapters.json_shapes import as_objects, read_arguments, read_call
from workers.adapters.media import AttachedMedia, MediaKind, read_media
from workers.adapters.tool_history import alphanumeric_id, with_matched_calls

WIRE = "anthropic"
_KEPT = ("cache_control", "citations")
_DOCUMENT_KEPT = (*_KEPT, "context")


def read_blocks(content: Any) -> list[Json]:
    """Return the blocks of a message's `content`. Drop blank texts, which are refused."""
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list):
        return []
    return [block for part in content if (block := _block(part))]


def _block(part: Any) -> Json | None:
    if isinstance(part, str):
        part = {"type": "text", "text": part}
    if not isinstance(part, dict):
        return None
    if is_native(part):
        return {**part["block"]}
    if part.get("type") in ("text", "input_text", "output_text", "refusal"):
        text = part.get("text") or part.get("refusal")
        if not isinstance(text, str) or not text.strip():
            return None
        return {"type": "text", "text": text, **_select(part, _KEPT)}
    media = read_media(part)
    return _attachment(media, part) if media else None


def _attachment(media: AttachedMedia, part: Json) -> Json:
    source = _source(media)
    if media.medium is MediaKind.IMAGE:
        return {"type": "image", "source": source, **_select(part, ("cache_control",))}
    if media.medium is MediaKind.DOCUMENT:
        title = {"title": media.title} if media.title else {}
        return {"type": "document", "source": source, **title, **_select(part, _DOCUMENT_KEPT)}
    raise _unsupported(media.medium)


def _unsupported(medium: MediaKind) -> ProviderFailureError:
    """Return the failure of a request that this wire cannot express."""
    message = f"Anthropic's Messages API takes no {medium} input."
    failure = Failure(AttemptOutcome.NOT_SENT, ErrorType.INVALID_REQUEST, message)
    return ProviderFailureError(failure)


def _source(media: AttachedMedia) -> Json:
    if media.file_id:
        return {"type": "file", "file_id": media.file_id}
    if media.url:
        return {"type": "url", "url": media.url}
    if media.is_text:
        text = media.decoded.decode("utf-8", "replace")
        return {"type": "text", "media_type": "text/plain", "data": text}
    usual = "image/png" if media.medium is MediaKind.IMAGE else "application/pdf"
    return {"type": "base64", "media_type": media.mime or usual, "data": media.data}


def _select(part: Json, names: tuple[str, ...]) -> Json:
    return {name: value for name in names if (value := part.get(name))}


FORMAT = "anthropic-claude-v1"
"""OpenRouter's format name for reasoning details that only Anthropic's models can read."""

_OPENING: Json = {"type": "text", "text": "(The conversation continues.)"}


@dataclass(slots=True)
class AnthropicConversation:
    """A conversation. `turns` alternate between user and assistant, beginning with the user."""

    system: list[Json] = field(default_factory=list)
    turns: list[Json] = field(default_factory=list)

    @property
    def prefilled(self) -> bool:
        """Return whether the request begins the assistant's answer."""
        return bool(self.turns) and self.turns[-1]["role"] == "assistant"

    @property
    def lost_thinking(self) -> bool:
        """Return whether the last assistant turn has tool calls without their thinking."""
        last = next((turn for turn in reversed(self.turns) if turn["role"] == "assistant"), None)
        kinds = [block["type"] for block in last["content"]] if last else []
        return "tool_use" in kinds and kinds[0] not in ("thinking", "redacted_thinking")

    def add(self, role: str, blocks: list[Json]) -> None:
        if not blocks:
            return
        if self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["content"] += blocks
        else:
            self.turns.append({"role": role, "content": blocks})


def read_conversation(messages: Any) -> AnthropicConversation:
    """Translate `messages`. Skip entries that are not objects."""
    conversation = AnthropicConversation()
    for message in with_matched_calls(messages, alphanumeric_id):
        if isinstance(message, dict):
            _read(conversation, message)
    _repair(conversation)
    return conversation


def _read(conversation: AnthropicConversation, message: Json) -> None:
    role = message.get("role")
    if read_native(message, WIRE).get("role"):
        conversation.add(str(role), _mark(read_blocks(message.get("content")), message))
    elif role in ("system", "developer"):
        conversation.system += _mark(read_blocks(message.get("content")), message)
    elif role == "assistant":
        conversation.add("assistant", _mark(_assistant(message), message))
    elif role == "tool":
        conversation.add("user", [_result(message)])
    else:
        conversation.add("user", _mark(read_blocks(message.get("content")), message))


def _repair(conversation: AnthropicConversation) -> None:
    """Bring the turns into the order and form that the wire requires."""
    turns = conversation.turns
    if not turns and conversation.system:
        turns.append({"role": "user", "content": conversation.system})
        conversation.system = []
    if turns and turns[0]["role"] == "assistant":
        turns.insert(0, {"role": "user", "content": [_OPENING]})
    for turn in turns:
        if turn["role"] == "user":
            turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    if conversation.prefilled and (last := turns[-1]["content"][-1])["type"] == "text":
        last["text"] = last["text"].rstrip()  # refused at the end of a prefill


def _assistant(message: Json) -> list[Json]:
    if content := read_native(message, WIRE).get("content"):
        return _name_calls(content, as_objects(message.get("tool_calls")))
    blocks = _read_thinking(message.get("reasoning_details"))
    blocks += read_blocks(message.get("content") or message.get("refusal"))
    for call in as_objects(message.get("tool_calls")):
        kind, holder = read_call(call)
        if name := holder.get("name"):
            call_input = _input(read_arguments(kind, holder))
            block = {"type": "tool_use", "id": call["id"], "name": name}
            blocks.append(block | {"input": call_input, **_cache_mark(call)})
    return blocks


def _name_calls(content: list[Json], calls: list[Json]) -> list[Json]:
    """Return the blocks of a turn. Its calls have the ids that their results name."""
    ids = iter([call["id"] for call in calls])
    return [
        {**block, "id": next(ids, block["id"])} if block["type"] == "tool_use" else {**block}
        for block in content
    ]


def _input(arguments: Any) -> Json:
    """Return a call's arguments as an object, which this wire requires."""
    if isinstance(arguments, dict):
        return arguments
    if not isinstance(arguments, str) or not arguments.strip():
        return {}
    try:
        parsed = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"arguments": arguments}


def _result(message: Json) -> Json:
    content = read_blocks(message.get("content"))
    marks = [mark for block in content if (mark := block.pop("cache_control", None))]
    result: Json = {"type": "tool_result", "tool_use_id": message["tool_call_id"]}
    if content:
        result["content"] = content
    if message.get("is_error") is True:
        result["is_error"] = True
    if mark := message.get("cache_control") or (marks and marks[-1]):
        result["cache_control"] = mark  # blocks within a result cannot be cached on their own
    return result | read_fields(message, WIRE)


def _mark(blocks: list[Json], message: Json) -> list[Json]:
    if blocks and blocks[-1]["type"] not in ("thinking", "redacted_thinking"):
        blocks[-1] |= _cache_mark(message)
    return blocks


def _cache_mark(holder: Json) -> Json:
    mark = holder.get("cache_control")
    return {"cache_control": mark} if mark else {}


def _read_thinking(details: Any) -> list[Json]:
    """Return the thinking blocks in `reasoning_details`. Drop those of other vendors.

    A stream sends a block in pieces with the same index, and clients send back the pieces.
    """
    blocks: dict[Any, Json] = {}
    for detail in details if isinstance(details, list) else ():
        if not isinstance(detail, dict) or detail.get("format") not in (None, FORMAT):
            continue
        index = detail.get("index", len(blocks))
        if detail.get("type") == "reasoning.encrypted" and detail.get("data"):
            blocks[index] = {"type": "redacted_thinking", "data": detail["data"]}
        elif detail.get("type") == "reasoning.text":
            block = blocks.setdefault(index, {"type": "thinking", "thinking": "", "signature": ""})
            if block["type"] == "thinking":
                block["thinking"] += detail.get("text") or ""
                block["signature"] = detail.get("signature") or block["signature"]
    # Thinking without its signature is refused.
    return [block for block in blocks.values() if block.get("signature", True)]
