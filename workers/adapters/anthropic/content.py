"""Content parts of a chat message as Messages content blocks.

Source: platform.claude.com/docs/en/api/messages (content blocks), …/build-with-claude/vision and
…/pdf-support.
"""

from typing import Any

from broker.completion import AttemptOutcome, ErrorType, Failure, Json
from workers.adapters.base import ProviderFailureError
from workers.adapters.media import AttachedMedia, MediaKind, read_media

_KEPT = ("cache_control", "citations")
_DOCUMENT_KEPT = (*_KEPT, "context")


def read_blocks(content: Any) -> list[Json]:
    """Return the blocks of a message's `content`; blank texts, which are refused, are dropped."""
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
    if part.get("type") in ("text", "input_text", "output_text", "refusal"):
        text = part.get("text") or part.get("refusal")
        if not isinstance(text, str) or not text.strip():
            return None
        return {"type": "text", "text": text, **_kept(part, _KEPT)}
    media = read_media(part)
    return _attachment(media, part) if media else None


def _attachment(media: AttachedMedia, part: Json) -> Json:
    source = _source(media)
    if media.medium is MediaKind.IMAGE:
        return {"type": "image", "source": source, **_kept(part, ("cache_control",))}
    if media.medium is MediaKind.DOCUMENT:
        title = {"title": media.title} if media.title else {}
        return {"type": "document", "source": source, **title, **_kept(part, _DOCUMENT_KEPT)}
    raise _unusable(media.medium)


def _unusable(medium: MediaKind) -> ProviderFailureError:
    """Return the failure of a request this wire has no form for; routing should not bring it."""
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


def _kept(part: Json, names: tuple[str, ...]) -> Json:
    return {name: value for name in names if (value := part.get(name))}
