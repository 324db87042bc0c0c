"""Detection and checks of the media type of attachments."""

import base64
from dataclasses import replace

from broker.completion import AttemptOutcome, ErrorType, Failure
from workers.adapters.media import AttachedMedia, MediaKind
from workers.media.fetching import FetchedMedia


class UnfitError(Exception):
    """The request cannot be sent. `failure` has the reason."""

    def __init__(self, message: str, error_type: ErrorType = ErrorType.INVALID_REQUEST) -> None:
        super().__init__(message)
        self.failure = Failure(AttemptOutcome.NOT_SENT, error_type, message)


def unfit(medium: MediaKind, message: str, image_error: ErrorType) -> UnfitError:
    """Return the error, with the error type of images for an image."""
    if medium is MediaKind.IMAGE:
        return UnfitError(message, image_error)
    return UnfitError(message)


# Signatures of our own: `filetype` 1.2 takes HEIF, QuickTime and 3GPP for MP4, and `puremagic`
# knows neither HEIF nor half of MP3's headers. Neither finds a PDF behind other bytes.
PDF = "application/pdf"
HEAD_CHARACTERS = 1024  # of base64: enough for every signature
_PDF_WITHIN = 1024  # readers accept the header within these bytes (ISO 32000, annex H)
_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf2", "audio/mpeg"),
    (b"\xff\xf1", "audio/aac"),
    (b"\xff\xf9", "audio/aac"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"\x00\x00\x01\xba", "video/mpeg"),
    (b"FLV\x01", "video/x-flv"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS = {
    b"heic": "image/heic", b"heix": "image/heic", b"hevc": "image/heic", b"mif1": "image/heif",
    b"msf1": "image/heif", b"avif": "image/avif", b"avis": "image/avif", b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4", b"3gp4": "video/3gpp", b"3gp5": "video/3gpp",
}  # fmt: skip


def sniff(content: bytes) -> str | None:
    """Return the media type of an image, PDF, audio or video, or None for anything else."""
    if content[:4] == b"RIFF":
        return _RIFF.get(content[8:12])
    if content[4:8] == b"ftyp":
        return _BRANDS.get(content[8:12], "video/mp4")
    for start, mime in _STARTS:
        if content.startswith(start):
            return mime
    return PDF if b"%PDF-" in content[:_PDF_WITHIN] else None


def sniff_base64(data: str) -> str | None:
    """Return the media type of the bytes in canonical base64, as `sniff` does."""
    return sniff(base64.b64decode(data[:HEAD_CHARACTERS]))


def family(mime: str | None) -> str:
    return (mime or "").partition("/")[0]


IMAGES = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "image/heic", "image/heif"}
)
"""Image types that some providers accept."""

OPAQUE = frozenset({"application/octet-stream", "binary/octet-stream", "application/download"})
"""Types of servers that do not know the type."""


def check_fetched_type(media: AttachedMedia, fetched: FetchedMedia) -> str | None:
    """Return the media type of fetched media. Raises UnfitError where it is of another kind."""
    stated = None if fetched.mime in OPAQUE else fetched.mime
    found = sniff(fetched.content)
    match media.medium:
        case MediaKind.IMAGE:
            return _image_type(stated, found)
        case MediaKind.DOCUMENT:
            return _document_type(media.mime, stated, found)
        case MediaKind.AUDIO | MediaKind.VIDEO:
            return _recording_type(media.medium, stated, found)


def check_attachment(media: AttachedMedia, field: str) -> AttachedMedia:
    """Return an attachment with its bytes, with their actual type.

    Raises UnfitError, which names the field, where the data of an image is not an image.
    """
    if media.medium is not MediaKind.IMAGE or media.data is None:
        return media
    found = sniff_base64(media.data)
    if found is None and family(media.mime) == "image":
        return media  # an unknown format, which the provider may accept
    if found is None or family(found) != "image":
        actual = found or media.mime
        of_type = f"of type {actual}" if actual else "of an unknown type"
        raise UnfitError(
            f"{field}: the data is not an image. It is {of_type}. Send a PNG, JPEG, WebP or GIF "
            "image.",
            ErrorType.INVALID_IMAGE,
        )
    return media if found == media.mime else replace(media, mime=found)


def _image_type(stated: str | None, found: str | None) -> str:
    contradicted = stated is not None and family(stated) != "image"
    if found in IMAGES and not contradicted:
        return found
    if not contradicted and "image" in (family(found), family(stated)):
        raise UnfitError(
            f"Images of type {found or stated} are not supported: send PNG, JPEG, GIF or WebP.",
            ErrorType.UNSUPPORTED_IMAGE_FORMAT,
        )
    raise UnfitError(
        f"What was fetched as an image is of type {stated or found or 'unknown'}.",
        ErrorType.INVALID_IMAGE,
    )


def _document_type(expected: str | None, stated: str | None, found: str | None) -> str | None:
    if found == PDF:
        return PDF
    if expected == PDF:
        raise unfit(
            MediaKind.DOCUMENT,
            f"What was fetched as a PDF is of type {stated or found or 'unknown'}.",
            ErrorType.INVALID_REQUEST,
        )
    if stated == PDF:
        raise UnfitError("The fetched file is declared as a PDF but is not one.")
    return found or stated or expected


def _recording_type(medium: MediaKind, stated: str | None, found: str | None) -> str:
    for mime in (found, stated):
        # One container, two kinds: MP4, Ogg and WebM may hold only sound.
        if mime and family(mime) in ("audio", "video"):
            return mime if family(mime) == medium else f"{medium}/{mime.partition('/')[2]}"
    raise UnfitError(f"What was fetched as {medium} is of type {stated or found or 'unknown'}.")
