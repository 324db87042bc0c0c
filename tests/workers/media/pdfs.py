"""PDFs made by hand: pages of lines in Helvetica."""

import base64

from workers.media import Readers
from workers.media.formats import UnfitError
from workers.media.ocr import LocalOcr
from workers.sandbox import local_ocr, office_text, pdf_pages
from workers.sandbox.local_ocr import MissingOcrError
from workers.sandbox.office_text import MissingConverterError
from workers.sandbox.pdf_pages import UnreadableDocumentError


def make_pdf(*pages):
    """A PDF whose pages hold these texts, line by line; characters are Latin-1.

    A page may also be a list of (x, y, text) in points from the bottom left corner.
    """
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for n, text in enumerate(pages):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * n} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>".encode()
        )
        drawn = _drawn(text)
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn))
    return assemble(objects)


def _drawn(text):
    if not isinstance(text, str):
        return b"\n".join(
            b"BT /F1 12 Tf %d %d Td (%s) Tj ET" % (x, y, words.encode("latin-1"))
            for x, y, words in text
        )
    lines = [
        b"(%s) Tj 0 -14 Td" % line.encode("latin-1").replace(b"\\", b"\\\\")
        .replace(b"(", b"\\(").replace(b")", b"\\)")
        for line in text.split("\n")
    ]  # fmt: skip
    return b"BT /F1 12 Tf 72 720 Td\n" + b"\n".join(lines) + b"\nET"


def assemble(objects):
    """A PDF of these objects, numbered from 1; the first is the catalog."""
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    rows = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    table = b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, rows)
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(out))
    return out + table + trailer


def data_uri(content, mime="application/pdf"):
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


class ReaderHere:
    """A reader in this process: what it returns is the same as in another."""

    async def read_pages(self, content):
        return self._run(pdf_pages.extract_pages, content)

    async def render_page(self, content, index):
        return self._run(pdf_pages.render_page, content, index)

    async def convert_document(self, content, mime):
        return self._run(office_text.convert_document, content, mime)

    async def recognize_page(self, content, index, languages=()):
        return self._run(local_ocr.recognize_page, content, index, languages)

    async def recognize_picture(self, content, languages=()):
        return self._run(local_ocr.recognize_picture, content, languages)

    def _run(self, function, *arguments):
        try:
            return function(*arguments)
        except (MissingOcrError, MissingConverterError):
            raise
        except UnreadableDocumentError as error:
            raise UnfitError(str(error)) from None


HERE = Readers(ReaderHere(), LocalOcr(ReaderHere()))
