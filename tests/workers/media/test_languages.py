"""OCR in chosen languages, by Tesseract where the system has it."""

import shutil
import subprocess

import pytest
from PIL import ImageFont

from broker.errors import InvalidRequestError
from broker.requests.plugins import FILE_PARSER, read_file_parser
from tests.workers.media.document_set import RUSSIAN, error_rate, turned
from tests.workers.media.pdfs import ReaderHere
from tests.workers.media.scans import LETTER, draw, encode, scan
from workers.media.formats import UnfitError
from workers.media.ocr import LocalOcr
from workers.sandbox import tesseract

LETTERS = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"


def languages():
    if shutil.which("tesseract") is None:
        return []
    listed = subprocess.run(["tesseract", "--list-langs"], capture_output=True, check=True)
    return listed.stdout.decode().split()


needs_english = pytest.mark.skipif("eng" not in languages(), reason="no Tesseract with `eng`")


def parser(value):
    return read_file_parser([{"id": FILE_PARSER, "pdf": {"languages": value}}])


@needs_english
@pytest.mark.parametrize("angle", [0, 90, 180])
async def test_tesseract_reads_a_page_in_any_rotation(angle):
    found = await LocalOcr(ReaderHere(), ("eng",)).read_pages(turned(angle), [0])
    assert error_rate(found.texts[0], LETTER) <= 0.02


@needs_english
async def test_a_language_that_is_not_installed_is_named():
    with pytest.raises(UnfitError, match="'eng\\+xyz'"):
        await LocalOcr(ReaderHere(), ("eng", "xyz")).read_pages(scan(draw("Hello")), [0])


@pytest.mark.skipif("rus" not in languages(), reason="no Tesseract with `rus`")
async def test_other_scripts_are_read():
    try:
        font = ImageFont.truetype(LETTERS, 40)
    except OSError:
        pytest.skip("no font with Cyrillic letters")
    picture = encode(draw(RUSSIAN, size=40, font=font))
    found = await LocalOcr(ReaderHere(), ("rus",)).read_picture(picture, "image/png")
    assert error_rate(found.texts[0], RUSSIAN) <= 0.1


async def test_without_tesseract_the_error_says_so(monkeypatch):
    monkeypatch.setattr(tesseract, "PROGRAM", "no-such-program")
    with pytest.raises(UnfitError, match="needs the program Tesseract"):
        await LocalOcr(ReaderHere(), ("eng",)).read_pages(scan(draw("Hello")), [0])


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, ()), (["rus"], ("rus",)), ("chi_sim", ("chi_sim",)), (["eng", "rus"], ("eng", "rus"))],
)
def test_languages_are_those_of_tesseract(value, expected):
    assert parser(value).languages == expected


@pytest.mark.parametrize("value", [[], ["english"], ["../eng"], ["-x"], [1], ["eng"] * 6, {}])
def test_other_names_are_refused(value):
    with pytest.raises(InvalidRequestError, match=r"pdf\.languages"):
        parser(value)
