"""Recognition of the text in pictures of pages (OCR). Runs in a process of the pool.

The engine is RapidOCR with the models in its wheel: nothing is downloaded. It finds boxes of text
and reads each; the order of the boxes and the rotation of the page are found here. Tesseract reads
pages in chosen languages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

from workers.sandbox.pdf_pages import UnreadableDocumentError, draw_page
from workers.sandbox.reading_order import Box, join, straighten
from workers.sandbox.tesseract import read_in_languages

if TYPE_CHECKING:
    from PIL.Image import Image

DPI = 200
LONGEST_SIDE = 2_200
DETECTION_SIDE = 1_280
"""Pixels to which a picture is reduced to find its text. The text is read at full size."""

MAX_PIXELS = 100_000_000
"""Pixels of a picture that is decoded. A page of A3 at 600 dpi has 70 million."""

SURE = 0.85
"""The mean confidence from which a page is taken to be upright. A rotated one has about 0.7."""

WHITE = 215  # and above, of 255
MARGIN = 60  # pixels around what is not white
_INK = [255] * WHITE + [0] * (256 - WHITE)

MISSING = (
    "A page without usable text needs OCR, which is not installed here: install the extra "
    "(`pip install 'waybill-broker[ocr]'`), or choose a model with `image` or `file` input."
)


class MissingOcrError(UnreadableDocumentError):
    """The packages for OCR are not installed."""


@dataclass(frozen=True, slots=True)
class Recognized:
    """The text of a picture in one rotation."""

    boxes: Sequence[Box]
    confidence: float = 0.0  # from 0 to 1, the mean of the boxes by their length
    is_upright: bool = True  # most lines are wider than high


def recognize_page(content: bytes, index: int, languages: Sequence[str] = ()) -> str:
    """Return the text of a PDF's page by OCR. Raises UnreadableDocumentError.

    With `languages`, as Tesseract names them, Tesseract reads it.
    """
    return _recognize(draw_page(content, index, DPI, LONGEST_SIDE), languages)


def recognize_picture(content: bytes, languages: Sequence[str] = ()) -> str:
    """Return the text of a picture by OCR, as `recognize_page` does."""
    return _recognize(_decode(content), languages)


def _decode(content: bytes) -> "Image":
    from PIL.Image import DecompressionBombError

    try:
        return _load(content)
    except (UnreadableDocumentError, MemoryError):
        raise
    except DecompressionBombError:
        raise _too_large() from None
    except Exception as error:  # a broken file can make the library fail in any way
        raise UnreadableDocumentError(
            "A picture cannot be read: it is damaged, cut off, or in an unknown format. Send a "
            "PNG, JPEG, WebP, GIF or TIFF image."
        ) from error


def _load(content: bytes) -> "Image":
    """Decode a picture, no larger than it is read, in the rotation of its camera."""
    from PIL import Image, ImageOps

    picture = Image.open(BytesIO(content))
    if picture.width * picture.height > MAX_PIXELS:
        raise _too_large()
    picture.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return _on_white(ImageOps.exif_transpose(picture))


def _too_large() -> UnreadableDocumentError:
    return UnreadableDocumentError(
        f"A picture is too large to be read: send one of at most {MAX_PIXELS:,} pixels."
    )


def _on_white(picture: "Image") -> "Image":
    from PIL import Image

    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        shown = picture.convert("RGBA")
        ground = Image.new("RGBA", shown.size, "white")
        return Image.alpha_composite(ground, shown).convert("RGB")
    return picture.convert("RGB")


def _recognize(picture: "Image", languages: Sequence[str]) -> str:
    """Return the text of a picture in the rotation in which it is read best."""
    if languages:
        return read_in_languages(picture, languages)
    picture = _without_margins(picture)
    best = _read(picture)
    if best.boxes and not (best.is_upright and best.confidence >= SURE):
        turns = (180,) if best.is_upright else (90, 270)
        others = [_read(picture.rotate(turn, expand=True)) for turn in turns]
        best = max([best, *others], key=lambda each: (each.is_upright, each.confidence))
    return join(best.boxes)


def _without_margins(picture: "Image") -> "Image":
    """Return the part of a page that is not white: a lone line on an empty page is not found."""
    ink = picture.convert("L").point(_INK)
    box = ink.getbbox()
    if box is None:
        return picture
    left, top, right, bottom = box
    return picture.crop(
        (
            max(left - MARGIN, 0),
            max(top - MARGIN, 0),
            min(right + MARGIN, picture.width),
            min(bottom + MARGIN, picture.height),
        )
    )


def _read(picture: "Image") -> Recognized:
    import numpy as np

    found = _engine()(np.asarray(picture)[:, :, ::-1])  # OpenCV's order: blue, green, red
    if found.boxes is None or not found.txts:
        return Recognized(())
    quads = [[(float(x), float(y)) for x, y in corners] for corners in found.boxes]
    boxes = [
        Box.around(corners, text)
        for corners, text in zip(straighten(quads), found.txts, strict=True)
        if text.strip()
    ]
    lengths = [len(text) for text in found.txts]
    weighed = sum(score * length for score, length in zip(found.scores, lengths, strict=True))
    tall = sum(box.height > 1.5 * box.width and len(box.text) > 1 for box in boxes)
    return Recognized(boxes, weighed / max(sum(lengths), 1), 2 * tall <= len(boxes))


@cache
def _engine() -> Any:
    """Return the engine. A process loads the models once, in about a second."""
    try:
        from rapidocr import RapidOCR
    except ImportError:
        raise MissingOcrError(MISSING) from None
    one_thread = {
        f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")
    }
    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.use_cls": False,  # it judges each line, and turns upright ones around
            "Det.limit_type": "max",
            "Det.limit_side_len": DETECTION_SIDE,
            "Rec.rec_batch_num": 1,  # a batch is as wide as its longest line
            **one_thread,
        }
    )
