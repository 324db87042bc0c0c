"""Reading of images, documents, audio and video in the content parts of a chat body.

Forms: OpenAI's `image_url`, `input_audio` and `file`, OpenRouter's `video_url` and its `file` with
a URL in `file_data` (openrouter.ai/docs/features/multimodal), and Anthropic's `image` and
`document` with a `source`, which OpenRouter's guide uses.
"""

import base64
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from mimetypes import guess_type
from typing import Any
from urllib.parse import urlsplit

from broker.completion import Json
from broker.requests.data_uris import canonical_base64, is_data_uri, read_data_uri

_ADDRESS = re.compile(r"\s*(data:|https?://|gs://|s3://)", re.IGNORECASE)


UNTITLED = "document"
"""The file name of a document without one, where a wire requires a name."""

_SOUNDS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "x-flac": "flac", "mp4": "m4a"}


class MediaKind(StrEnum):
    """The kind of an attachment."""

    IMAGE = "image"
    DOCUMENT = "document"
    AUDIO = "audio"
    VIDEO = "video"


@dataclass(frozen=True, slots=True)
class AttachedMedia:
    """One attachment: exactly one of `data`, `url` and `file_id` is set."""

    medium: MediaKind
    mime: str | None = None  # as stated, or guessed from a file name; None where unknown
    data: str | None = None  # base64
    url: str | None = None
    file_id: str | None = None  # of the provider's own file store
    title: str | None = None
    rewritten: bool = False  # the data was in another spelling of base64 or of `data:`

    @property
    def decoded(self) -> bytes:
        return base64.b64decode(self.data or "")

    @property
    def is_text(self) -> bool:
        return self.data is not None and (self.mime or "").startswith("text/")


def read_media(part: Json) -> AttachedMedia | None:
    """Return the attachment of a content part, or None where it has none.

    Raises ValueError, with the reason, for data that cannot be read.
    """
    kind = part.get("type")
    held = part.get(kind) if isinstance(kind, str) else None
    if kind in ("image_url", "video_url"):
        medium = MediaKind.IMAGE if kind == "image_url" else MediaKind.VIDEO
        return _from_url(held.get("url") if isinstance(held, dict) else held, medium)
    if kind == "input_audio" and isinstance(held, dict):
        return _audio(held)
    if kind == "file" and isinstance(held, dict):
        return _file(held)
    if kind in ("image", "document") and isinstance(source := part.get("source"), dict):
        media = _from_source(source, MediaKind(kind))
        return media and replace(media, title=_word(part.get("title")))
    return None


def sound_format(mime: str | None) -> str:
    """Return OpenAI's name for an audio format."""
    subtype = (mime or "audio/wav").partition("/")[2]
    return _SOUNDS.get(subtype, subtype)


def _from_url(url: Any, medium: MediaKind, title: str | None = None) -> AttachedMedia | None:
    if not isinstance(url, str) or not url:
        return None
    if not is_data_uri(url):
        return AttachedMedia(medium, guess_type(urlsplit(url).path)[0], url=url, title=title)
    uri = read_data_uri(url)
    medium = _medium(uri.mime or "", medium)
    return AttachedMedia(medium, uri.mime, data=uri.data, title=title, rewritten=str(uri) != url)


def _from_base64(
    data: str, medium: MediaKind, mime: str | None, title: str | None = None
) -> AttachedMedia | None:
    """Return an attachment of base64 data. Some clients send a URL in its field instead."""
    if _ADDRESS.match(data):
        return _from_url(data, medium, title)
    plain = canonical_base64(data)
    return AttachedMedia(medium, mime, data=plain, title=title, rewritten=plain != data)


def _audio(held: Json) -> AttachedMedia | None:
    data = _word(held.get("data"))
    if data is None:
        return None
    return _from_base64(data, MediaKind.AUDIO, f"audio/{held.get('format') or 'wav'}")


def _file(held: Json) -> AttachedMedia | None:
    data, title = held.get("file_data"), _word(held.get("filename"))
    title = None if title == UNTITLED else title
    if not isinstance(data, str) or not data:
        file_id = _word(held.get("file_id"))
        return AttachedMedia(MediaKind.DOCUMENT, file_id=file_id, title=title) if file_id else None
    mime = guess_type(title or "")[0] or "application/pdf"
    if _ADDRESS.match(data):
        return _from_url(data, MediaKind.DOCUMENT, title)
    return _from_base64(data, _medium(mime, MediaKind.DOCUMENT), mime, title)


def _from_source(source: Json, medium: MediaKind) -> AttachedMedia | None:
    data, mime = _word(source.get("data")), _word(source.get("media_type"))
    match source.get("type"):
        case "base64" if data:
            return _from_base64(data, medium, mime)
        case "text" if data:
            return AttachedMedia(
                medium, "text/plain", data=base64.b64encode(data.encode()).decode()
            )
        case "url":
            return _from_url(source.get("url"), medium)
        case "file" if file_id := _word(source.get("file_id")):
            return AttachedMedia(medium, file_id=file_id)
    return None


def _medium(mime: str, otherwise: MediaKind) -> MediaKind:
    family = mime.partition("/")[0]
    return MediaKind(family) if family in ("image", "audio", "video") else otherwise


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
