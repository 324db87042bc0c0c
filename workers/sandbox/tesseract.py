"""OCR in chosen languages by Tesseract, a program of the system. Runs in a process of the pool."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from workers.sandbox.pdf_pages import UnreadableDocumentError
from workers.sandbox.pool import PR_SET_PDEATHSIG

if TYPE_CHECKING:
    from PIL.Image import Image

PROGRAM = "tesseract"
LAYOUT = "1"  # find the rotation, the columns and the lines of a page
NO_LANGUAGE = b"Failed loading language"
ONE_THREAD = {"OMP_THREAD_LIMIT": "1"}

MISSING = (
    "OCR in chosen languages needs the program Tesseract, which is not installed at this worker: "
    "install it (`tesseract-ocr`), or leave out `pdf.languages`."
)


def read_in_languages(picture: "Image", languages: Sequence[str]) -> str:
    """Return the text of a picture. Raises UnreadableDocumentError.

    Tesseract ends together with this process, and has its limits of memory and processor time.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise UnreadableDocumentError(MISSING)
    drawn = BytesIO()
    picture.convert("L").save(drawn, "PNG")
    names = "+".join(languages)
    done = subprocess.run(  # noqa: S603  # the names of languages are checked by `plugins`
        [program, "stdin", "stdout", "-l", names, "--psm", LAYOUT],
        input=drawn.getvalue(),
        capture_output=True,
        check=False,
        env=os.environ | ONE_THREAD,
        preexec_fn=_end_with_parent,  # this process has one thread
    )
    if done.returncode or NO_LANGUAGE in done.stderr:  # it goes on with the other languages
        raise UnreadableDocumentError(_explain(names, done.stderr))
    return done.stdout.decode(errors="replace").replace("\x0c", "").strip()


def _explain(names: str, error: bytes) -> str:
    if NO_LANGUAGE in error:
        return (
            f"Tesseract has not the data of all languages of {names!r}: install them at the "
            "worker (`tesseract-ocr-…`), or choose others in `pdf.languages`."
        )
    return "Tesseract could not read a page. Leave out `pdf.languages`, or send the text."


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
