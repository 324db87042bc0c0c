"""What bytes are, told by their beginning; what a server says of them is only a hint.

Signatures: mimesniff.spec.whatwg.org, and the formats' own specifications for HEIF and the rest.
"""

import base64

PDF = "application/pdf"
HEAD_CHARACTERS = 1024  # of base64: enough for every signature
_PDF_WITHIN = 1024  # readers find the header anywhere in here (ISO 32000, annex H)
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
    """Return the media type of an image, PDF, sound or film, or None for anything else."""
    if content[:4] == b"RIFF":
        return _RIFF.get(content[8:12])
    if content[4:8] == b"ftyp":
        return _BRANDS.get(content[8:12], "video/mp4")
    for start, mime in _STARTS:
        if content.startswith(start):
            return mime
    return PDF if b"%PDF-" in content[:_PDF_WITHIN] else None


def sniff_base64(data: str) -> str | None:
    """Return what `sniff` tells of the bytes in a canonical base64."""
    return sniff(base64.b64decode(data[:HEAD_CHARACTERS]))


def family(mime: str | None) -> str:
    return (mime or "").partition("/")[0]
