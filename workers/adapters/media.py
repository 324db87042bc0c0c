"""Images, documents, audio and video in a chat body's content parts, whatever form they have.

Forms: OpenAI's `image_url`, `input_audio` and `file`, OpenRouter's `video_url` and its `file` with
a URL in `file_data` (openrouter.ai/docs/features/multimodal), and Anthropic's `image` and
`document` with a `source`, which OpenRouter's guide uses.
"""

import base64
import binascii
from dataclasses import dataclass, replace
from enum import StrEnum
from mimetypes import guess_type
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from broker.completion import Json


class Medium(StrEnum):
    """What kind of thing it is."""

    IMAGE = "image"
    DOCUMENT = "document"
    AUDIO = "audio"
    VIDEO = "video"


@dataclass(frozen=True, slots=True)
class Media:
    """One attachment: exactly one of `data`, `url` and `file_id` is set."""

    medium: Medium
    mime: str | None = None  # as stated or told by a file name; None where nothing tells
    data: str | None = None  # base64
    url: str | None = None
    file_id: str | None = None  # of the provider's own file store
    title: str | None = None

    @property
    def decoded(self) -> bytes:
        """The data; nothing where it is not base64."""
        try:
            return base64.b64decode(self.data or "")
        except binascii.Error:
            return b""

    @property
    def is_text(self) -> bool:
        return self.data is not None and (self.mime or "").startswith("text/")


def read_media(part: Json) -> Media | None:
    """Return the attachment a content part holds, or None where it holds none."""
    kind = part.get("type")
    held = part.get(kind) if isinstance(kind, str) else None
    if kind in ("image_url", "video_url"):
        medium = Medium.IMAGE if kind == "image_url" else Medium.VIDEO
        return _located(held.get("url") if isinstance(held, dict) else held, medium)
    if kind == "input_audio" and isinstance(held, dict):
        return _audio(held)
    if kind == "file" and isinstance(held, dict):
        return _file(held)
    if kind in ("image", "document") and isinstance(source := part.get("source"), dict):
        media = _sourced(source, Medium(kind))
        return media and replace(media, title=_word(part.get("title")))
    return None


def _located(url: Any, medium: Medium, title: str | None = None) -> Media | None:
    if not isinstance(url, str) or not url:
        return None
    if not url.startswith("data:"):
        return Media(medium, guess_type(urlsplit(url).path)[0], url=url, title=title)
    head, _, payload = url[5:].partition(",")
    mime, *parameters = head.split(";")
    if "base64" not in parameters:
        payload = base64.b64encode(unquote_to_bytes(payload)).decode()
    mime = "image/jpeg" if mime == "image/jpg" else mime
    return Media(_medium(mime, medium), mime or None, data=payload, title=title)


def _audio(held: Json) -> Media | None:
    data = held.get("data")
    if not isinstance(data, str) or data.startswith(("data:", "http://", "https://")):
        return _located(data, Medium.AUDIO)
    return Media(Medium.AUDIO, f"audio/{held.get('format') or 'wav'}", data=data)


def _file(held: Json) -> Media | None:
    data, title = held.get("file_data"), _word(held.get("filename"))
    if not isinstance(data, str) or not data:
        file_id = _word(held.get("file_id"))
        return Media(Medium.DOCUMENT, file_id=file_id, title=title) if file_id else None
    if data.startswith(("data:", "http://", "https://", "gs://")):
        return _located(data, Medium.DOCUMENT, title)
    mime = guess_type(title or "")[0] or "application/pdf"
    return Media(_medium(mime, Medium.DOCUMENT), mime, data=data, title=title)


def _sourced(source: Json, medium: Medium) -> Media | None:
    data, mime = _word(source.get("data")), _word(source.get("media_type"))
    match source.get("type"):
        case "base64" if data:
            return Media(medium, mime, data=data)
        case "text" if data:
            return Media(medium, "text/plain", data=base64.b64encode(data.encode()).decode())
        case "url":
            return _located(source.get("url"), medium)
        case "file" if file_id := _word(source.get("file_id")):
            return Media(medium, file_id=file_id)
    return None


def _medium(mime: str, otherwise: Medium) -> Medium:
    family = mime.partition("/")[0]
    return Medium(family) if family in ("image", "audio", "video") else otherwise


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
