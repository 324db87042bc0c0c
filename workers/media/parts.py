"""Attachments as content parts, each kind in one form: OpenAI's, and OpenRouter's for films."""

from typing import Any

from broker.completion import Json
from workers.adapters.media import AttachedMedia, MediaKind, sound_format

KEPT = ("cache_control", "citations", "context")
_TYPES = {
    MediaKind.IMAGE: "image_url",
    MediaKind.DOCUMENT: "file",
    MediaKind.AUDIO: "input_audio",
    MediaKind.VIDEO: "video_url",
}
_USUAL = {
    MediaKind.IMAGE: "image/png",
    MediaKind.DOCUMENT: "application/pdf",
    MediaKind.VIDEO: "video/mp4",
}


def text_part(text: str, part: Json) -> Json:
    """Return a text in the place of `part`, with its cache marker."""
    kept = {"cache_control": part["cache_control"]} if part.get("cache_control") else {}
    return {"type": "text", "text": text, **kept}


def is_usual(media: AttachedMedia, part: Json) -> bool:
    """Whether a part has the form that `media_part` would give it, and perhaps more in it."""
    held = part.get(_TYPES[media.medium])
    if media.rewritten or not isinstance(held, dict):
        return False
    if media.medium is MediaKind.DOCUMENT:
        return bool(held.get("file_id")) or ":" in str(held.get("file_data"))[:12]
    return True


def media_part(media: AttachedMedia, part: Json) -> Json:
    """Return the attachment that `part` held, in its one form."""
    kept = {name: part[name] for name in KEPT if part.get(name)}
    match media.medium:
        case MediaKind.IMAGE:
            return {"type": "image_url", "image_url": _image(media, part), **kept}
        case MediaKind.VIDEO:
            return {"type": "video_url", "video_url": {"url": _address(media)}, **kept}
        case MediaKind.AUDIO:
            return {"type": "input_audio", "input_audio": _audio(media), **kept}
        case MediaKind.DOCUMENT:
            return {"type": "file", "file": _file(media), **kept}


def _image(media: AttachedMedia, part: Json) -> Json:
    held: Any = part.get("image_url")
    detail = held.get("detail") if isinstance(held, dict) else None
    return {"url": _address(media), **({"detail": detail} if detail else {})}


def _audio(media: AttachedMedia) -> Json:
    return {"data": media.url or media.data, "format": sound_format(media.mime)}


def _file(media: AttachedMedia) -> Json:
    if media.file_id:
        return {"file_id": media.file_id}
    return {"filename": media.title or "document", "file_data": _address(media)}


def _address(media: AttachedMedia) -> str:
    return media.url or f"data:{media.mime or _USUAL[media.medium]};base64,{media.data}"
