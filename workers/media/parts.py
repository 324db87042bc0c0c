"""Attachments as content parts, each kind in one form: OpenAI's, and OpenRouter's for films."""

from typing import Any

from broker.completion import Json
from workers.adapters.media import Media, Medium, sound_format

KEPT = ("cache_control", "citations", "context")
_TYPES = {
    Medium.IMAGE: "image_url",
    Medium.DOCUMENT: "file",
    Medium.AUDIO: "input_audio",
    Medium.VIDEO: "video_url",
}
_USUAL = {
    Medium.IMAGE: "image/png",
    Medium.DOCUMENT: "application/pdf",
    Medium.VIDEO: "video/mp4",
}


def text_part(text: str, part: Json) -> Json:
    """Return a text in the place of `part`, with its cache marker."""
    kept = {"cache_control": part["cache_control"]} if part.get("cache_control") else {}
    return {"type": "text", "text": text, **kept}


def is_usual(media: Media, part: Json) -> bool:
    """Whether a part has the form that `media_part` would give it, and perhaps more in it."""
    held = part.get(_TYPES[media.medium])
    if media.rewritten or not isinstance(held, dict):
        return False
    if media.medium is Medium.DOCUMENT:
        return bool(held.get("file_id")) or ":" in str(held.get("file_data"))[:12]
    return True


def media_part(media: Media, part: Json) -> Json:
    """Return the attachment that `part` held, in its one form."""
    kept = {name: part[name] for name in KEPT if part.get(name)}
    match media.medium:
        case Medium.IMAGE:
            return {"type": "image_url", "image_url": _image(media, part), **kept}
        case Medium.VIDEO:
            return {"type": "video_url", "video_url": {"url": _address(media)}, **kept}
        case Medium.AUDIO:
            return {"type": "input_audio", "input_audio": _audio(media), **kept}
        case Medium.DOCUMENT:
            return {"type": "file", "file": _file(media), **kept}


def _image(media: Media, part: Json) -> Json:
    held: Any = part.get("image_url")
    detail = held.get("detail") if isinstance(held, dict) else None
    return {"url": _address(media), **({"detail": detail} if detail else {})}


def _audio(media: Media) -> Json:
    return {"data": media.url or media.data, "format": sound_format(media.mime)}


def _file(media: Media) -> Json:
    if media.file_id:
        return {"file_id": media.file_id}
    return {"filename": media.title or "document", "file_data": _address(media)}


def _address(media: Media) -> str:
    return media.url or f"data:{media.mime or _USUAL[media.medium]};base64,{media.data}"
