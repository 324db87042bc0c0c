"""Checks attachments: that bytes are what they are said to be, whoever says so."""

from dataclasses import replace

from broker.completion import ErrorType
from workers.adapters.media import AttachedMedia, MediaKind
from workers.media.failures import UnfitError, unfit
from workers.media.fetching import FetchedMedia
from workers.media.formats import PDF, family, sniff, sniff_base64

IMAGES = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "image/heic", "image/heif"}
)
"""What some provider takes; which of them takes what, it says itself."""

OPAQUE = frozenset({"application/octet-stream", "binary/octet-stream", "application/download"})
"""What servers state that do not know what they send."""


def told_type(media: AttachedMedia, fetched: FetchedMedia) -> str | None:
    """Return the media type of what was fetched. Raises UnfitError where it is something else."""
    stated = None if fetched.mime in OPAQUE else fetched.mime
    found = sniff(fetched.content)
    match media.medium:
        case MediaKind.IMAGE:
            return _image_type(stated, found)
        case MediaKind.DOCUMENT:
            return _document_type(media.mime, stated, found)
        case MediaKind.AUDIO | MediaKind.VIDEO:
            return _recording_type(media.medium, stated, found)


def checked(media: AttachedMedia, field: str) -> AttachedMedia:
    """Return an attachment that came with its bytes, under their true type.

    Raises UnfitError, which names the field, where the data of an image is something else.
    """
    if media.medium is not MediaKind.IMAGE or media.data is None:
        return media
    found = sniff_base64(media.data)
    if found is None and family(media.mime) == "image":
        return media  # a kind we do not know: the provider may
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
            f"Images of type {found or stated} are not taken: send PNG, JPEG, GIF or WebP.",
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
        raise UnfitError("What was fetched is stated to be a PDF, and is none.")
    return found or stated or expected


def _recording_type(medium: MediaKind, stated: str | None, found: str | None) -> str:
    for mime in (found, stated):
        # One container, two kinds: MP4, Ogg and WebM may hold only sound.
        if mime and family(mime) in ("audio", "video"):
            return mime if family(mime) == medium else f"{medium}/{mime.partition('/')[2]}"
    raise UnfitError(f"What was fetched as {medium} is of type {stated or found or 'unknown'}.")
