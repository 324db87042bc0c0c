"""Translation of images, documents, audio and video into Converse's blocks.

Formats: API_runtime_ImageBlock, DocumentBlock, VideoBlock, AudioBlock. Converse fetches only
objects in S3, so `workers.media` must have fetched other URLs before.
"""

import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from broker.completion import AttemptOutcome, ErrorType, Failure, Json
from workers.adapters.base import ProviderFailureError
from workers.adapters.media import AttachedMedia, MediaKind

_IMAGES = {"png": "png", "jpeg": "jpeg", "jpg": "jpeg", "gif": "gif", "webp": "webp"}
_VIDEOS = {
    "x-matroska": "mkv", "mkv": "mkv", "quicktime": "mov", "mov": "mov", "mp4": "mp4",
    "webm": "webm", "x-flv": "flv", "flv": "flv", "mpeg": "mpeg", "mpg": "mpg",
    "x-ms-wmv": "wmv", "wmv": "wmv", "3gpp": "three_gp", "3gp": "three_gp",
}  # fmt: skip
_AUDIOS = {
    "mpeg": "mp3", "mp3": "mp3", "wav": "wav", "x-wav": "wav", "wave": "wav", "ogg": "ogg",
    "opus": "opus", "aac": "aac", "x-aac": "x-aac", "flac": "flac", "x-flac": "flac",
    "mp4": "mp4", "m4a": "m4a", "x-m4a": "m4a", "webm": "webm", "pcm": "pcm", "pcm16": "pcm",
    "x-matroska": "mka",
}  # fmt: skip
_DOCUMENTS = {
    "pdf": "pdf", "csv": "csv", "doc": "doc", "msword": "doc", "docx": "docx", "xls": "xls",
    "vnd.ms-excel": "xls", "xlsx": "xlsx", "html": "html", "htm": "html", "txt": "txt",
    "plain": "txt", "md": "md", "markdown": "md", "x-markdown": "md",
    "vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}  # fmt: skip
_FORMATS = {
    MediaKind.IMAGE: _IMAGES,
    MediaKind.VIDEO: _VIDEOS,
    MediaKind.AUDIO: _AUDIOS,
    MediaKind.DOCUMENT: _DOCUMENTS,
}
_REFUSED_IN_NAMES = re.compile(r"[^A-Za-z0-9 \-()\[\]]+")
_NAME_LIMIT = 180  # of 200, leaving room for a number
_SHOWN = 60
_S3 = "s3://"


class DocumentNames:
    """Generator of document names that Converse accepts, each unique in a request.

    It accepts up to 200 letters, digits, single spaces, hyphens, parentheses and square brackets.
    """

    def __init__(self) -> None:
        self._used: set[str] = set()

    def name(self, title: str | None) -> str:
        stem = PurePosixPath(title or "").stem
        base = " ".join(_REFUSED_IN_NAMES.sub(" ", stem).split())[:_NAME_LIMIT] or "Document"
        name, number = base, 1
        while name in self._used:
            number += 1
            name = f"{base} {number}"
        self._used.add(name)
        return name


def media_block(media: AttachedMedia, names: DocumentNames) -> Json:
    """Return the block of an attachment with bytes or an S3 address.

    Raises ProviderFailureError for another attachment, or an unknown format.
    """
    block: Json = {"format": _format(media), "source": _source(media)}
    if media.medium is MediaKind.DOCUMENT:
        block = {"name": names.name(media.title), **block}
    return {str(media.medium): block}


def unsupported(
    what: str, error_type: ErrorType = ErrorType.INVALID_REQUEST
) -> ProviderFailureError:
    """Return the failure of a request that this wire cannot express."""
    message = f"Amazon Bedrock's Converse API does not take {what}."
    return ProviderFailureError(Failure(AttemptOutcome.NOT_SENT, error_type, message))


def _source(media: AttachedMedia) -> Json:
    address = media.url or media.data or ""
    if address.startswith(_S3):
        return {"s3Location": {"uri": address}}
    if media.data is None:
        raise unsupported(
            f"content by URL or file id: {(media.url or media.file_id or '')[:_SHOWN]}"
        )
    return {"bytes": media.data}


def _format(media: AttachedMedia) -> str:
    """Return the format by the media type, or by the file name or address."""
    formats = _FORMATS[media.medium]
    family, _, subtype = (media.mime or "").lower().partition("/")
    names = (subtype, _suffix(media.title), _suffix(urlsplit(media.url or "").path))
    found = next((formats[name] for name in names if name in formats), None)
    if found is None and family == "text" and media.medium is MediaKind.DOCUMENT:
        return "txt"
    if found is None:
        image = media.medium is MediaKind.IMAGE
        error_type = ErrorType.UNSUPPORTED_IMAGE_FORMAT if image else ErrorType.INVALID_REQUEST
        raise unsupported(f"{media.medium} content of type {media.mime or 'unknown'}", error_type)
    return found


def _suffix(name: str | None) -> str:
    return PurePosixPath(name or "").suffix[1:].lower()
