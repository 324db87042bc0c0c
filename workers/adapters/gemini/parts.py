"""Content parts of a chat message as Gemini parts.

Sources: ai.google.dev/api/caching#Part, ai.google.dev/gemini-api/docs, pages "File input methods"
(files by https, gs and YouTube addresses), "Audio" and "Video understanding".
"""

from typing import Any

from broker.completion import Json
from workers.adapters.media import AttachedMedia, MediaKind, read_media

_USUAL = {
    MediaKind.IMAGE: "image/jpeg",
    MediaKind.DOCUMENT: "application/pdf",
    MediaKind.AUDIO: "audio/wav",
    MediaKind.VIDEO: "video/mp4",
}


def read_parts(content: Any) -> list[Json]:
    """Return the parts of a message's `content`; empty texts are dropped."""
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
