"""Rules for the form of an attachment at an endpoint: unchanged, as bytes, or read here."""

import base64
from dataclasses import field
from enum import Enum, auto
from functools import cache
from importlib.util import find_spec
from itertools import groupby
from typing import Any

from broker.completion import Json
from broker.requests.plugins import FileParser
from broker.routing.requirements import OFFICE, READABLE
from broker.values import immutable
from workers.adapters.base import Adapter
from workers.adapters.media import UNTITLED, AttachedMedia, MediaKind, sound_format
from workers.adapters.openai.quirks import OpenAiQuirk
from workers.media.documents import Picture, ReadFile, Reading
from workers.media.formats import PDF, UnfitError

MODALITIES = {
    MediaKind.IMAGE: "image",
    MediaKind.DOCUMENT: "file",
    MediaKind.AUDIO: "audio",
    MediaKind.VIDEO: "video",
}
_WEB = ("https://", "http://")


class Way(Enum):
    """The form in which an attachment is sent."""

    AS_IS = auto()
    BYTES = auto()  # fetched, then sent along
    READ = auto()  # read here, and sent as text or as pictures of its pages


@immutable
class Rules:
    """The rules of an endpoint, by its wire, its model and its vendor."""

    adapter: Adapter
    modalities: frozenset[str] | None = None  # of the model; None = unknown
    parser: FileParser = field(default_factory=FileParser)
    quirks: frozenset[str] = frozenset()

    @property
    def reading(self) -> Reading:
        """Return how files are read that the endpoint does not take."""
        engine = self.parser.engine if self.parser.enabled else None
        return Reading(engine, self._takes("image"), self.parser.max_pages)

    def way(self, media: AttachedMedia, *, is_file: bool) -> Way:
        """Return the form for an attachment. Raises UnfitError where there is none.

        `is_file` means that the caller sent it as a document, which may be the picture of a page.
        """
        if media.medium is MediaKind.DOCUMENT and not self._takes_natively(media):
            return Way.READ
        if not self._takes(MODALITIES[media.medium]):
            if media.medium is MediaKind.IMAGE and self.parser.reads_picture(is_file=is_file):
                return Way.READ
            raise UnfitError(f"The model takes no {MODALITIES[media.medium]} input here.")
        return Way.BYTES if media.url and not self._fetches(media, media.url) else Way.AS_IS

    def _takes(self, modality: str) -> bool:
        known = self.modalities
        return modality in self.adapter.accepts and (known is None or modality in known)

    def _takes_natively(self, media: AttachedMedia) -> bool:
        """Return whether a file is sent unchanged. For an unknown model, text is safer."""
        readable = _is_readable(media)
        able = self._takes("file")
        sure = able and (self.modalities is not None or self.adapter.reads_files or not readable)
        if self.parser.must_be_native or not readable:
            if not able:
                raise UnfitError(
                    "The model takes no files as they are, and this one may not be sent as text: "
                    "choose a model with `file` input, or leave out the `native` PDF engine."
                )
            return True
        if media.mime in OFFICE and can_convert_office():
            return False  # few vendors accept them
        return sure and not self.parser.must_be_read

    def _fetches(self, media: AttachedMedia, url: str) -> bool:
        if url.startswith(self.adapter.opens):
            return True
        if OpenAiQuirk.INLINE_MEDIA in self.quirks or not url.startswith(_WEB):
            return False
        if media.medium is MediaKind.DOCUMENT and media.mime not in (None, PDF):
            return False  # of files by URL, only PDFs are taken everywhere
        return MODALITIES[media.medium] in self.adapter.fetches


@cache
def can_convert_office() -> bool:
    """Return whether the packages for office documents are installed."""
    return all(find_spec(name) for name in ("mammoth", "markdownify", "openpyxl", "pptx"))


def _is_readable(media: AttachedMedia) -> bool:
    """Return whether the text of a file can be extracted, judging by its type."""
    mime = media.mime or PDF
    return media.file_id is None and (mime.startswith("text/") or mime in READABLE)


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


def read_parts(file: ReadFile, part: Json) -> list[Json]:
    """Return the parts that replace `part`: texts and pictures; the last has its cache marker."""
    parts: list[Json] = []
    for has_text, pieces in groupby(file.pieces, lambda piece: isinstance(piece, str)):
        if has_text:
            parts.append({"type": "text", "text": "\n".join(map(str, pieces))})
        else:
            parts += [_page_part(piece) for piece in pieces if isinstance(piece, Picture)]
    if part.get("cache_control"):
        parts[-1]["cache_control"] = part["cache_control"]
    return parts


def _page_part(picture: Picture) -> Json:
    data = base64.b64encode(picture.content).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}


def is_usual(media: AttachedMedia, part: Json) -> bool:
    """Return whether a part already has the form of `media_part`, with or without more fields."""
    held = part.get(_TYPES[media.medium])
    if media.rewritten or not isinstance(held, dict):
        return False
    if media.medium is MediaKind.DOCUMENT:
        return bool(held.get("file_id")) or ":" in str(held.get("file_data"))[:12]
    return True


def media_part(media: AttachedMedia, part: Json) -> Json:
    """Return an attachment, which replaces `part`, in the usual form."""
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
    return {"filename": media.title or UNTITLED, "file_data": _address(media)}


def _address(media: AttachedMedia) -> str:
    return media.url or f"data:{media.mime or _USUAL[media.medium]};base64,{media.data}"
