"""A set of documents with the text that a reader should find, and the rate of its errors.

    python -m tests.workers.media.document_set

prints the table of docs/reference/document-accuracy.md.
"""

import asyncio
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from io import BytesIO

from PIL import Image
from pypdf import PdfReader, PdfWriter

from tests.workers.media.pdfs import HERE, assemble, make_pdf
from tests.workers.media.scans import DPI, LETTER, PAGE, draw, encode, noisy, scan
from workers.media.documents import FileReader, PageBudget, Picture, Reading
from workers.media.formats import UnfitError
from workers.sandbox.pdf_pages import draw_page

PDF = "application/pdf"
LEFT = """The left column tells of the
harbour, its ships and the
price of salt in spring."""
RIGHT = """The right column lists the
people who came ashore and
what they carried along."""
ROWS = [
    ("Item", "Count", "Price"),
    ("Bolt", "120", "0.35"),
    ("Nut", "95", "0.12"),
    ("Washer", "240", "0.04"),
]
TABLE = "\n".join(" ".join(row) for row in ROWS)
COLUMNS = f"Harbour news\n{LEFT}\n{RIGHT}"
PAGES = [f"Page number {n}" for n in range(300)]
JAPANESE = "\u65e5\u672c\u8a9e\u306e\u6587\u66f8"
RUSSIAN = "\u041e\u0442\u0447\u0451\u0442 \u0437\u0430 \u043c\u0430\u0439"
FOREIGN = f"{JAPANESE} {RUSSIAN}"
ACCENTS = "Größe, façade, señor, naïve, Übermaß\nÀ bientôt, garçon: 12,50 £ für Käse"


@dataclass(frozen=True)
class MadeDocument:
    """A document, what it says, and the errors that a text-only model may get."""

    kind: str
    make: Callable[[], bytes]
    expected: str | None  # None: it is refused
    most_errors: float = 0.0  # of the characters
    scanned: int = 0  # pages that a model that sees gets as pictures
    mime: str = PDF
    refusal: str = ""

    @property
    def content(self) -> bytes:
        return made(self)


@cache
def made(document: MadeDocument) -> bytes:
    return document.make()


def columns() -> bytes:
    lines = [*zip(LEFT.split("\n"), RIGHT.split("\n"), strict=True)]
    left = [(72, 700 - 14 * n, a) for n, (a, _) in enumerate(lines)]
    right = [(330, 700 - 14 * n, b) for n, (_, b) in enumerate(lines)]
    return make_pdf([(72, 740, "Harbour news"), *left, *right])


def table() -> bytes:
    return make_pdf(
        [
            (72 + 120 * x, 740 - 18 * y, cell)
            for y, row in enumerate(ROWS)
            for x, cell in enumerate(row)
        ]
    )


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (entries, len(content), content)


FONTS = b"/Resources << /Font << /F1 3 0 R >> >>"
A_PAGE = b"/Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 5 0 R"


def form() -> bytes:
    """A page with a text field; its value is in the field's appearance, not in the page."""
    fields = b"/AcroForm << /Fields [6 0 R] /DR << /Font << /F1 3 0 R >> >> >>"
    place = b"/Rect [120 716 320 734] /P 4 0 R /AP << /N 7 0 R >>"
    field = b"/Type /Annot /Subtype /Widget /FT /Tx /T (name) /V (Ada Lovelace) /DA (/F1 12 Tf)"
    appearance = b"/Type /XObject /Subtype /Form /BBox [0 0 200 18] " + FONTS
    return assemble(
        [
            b"<< /Type /Catalog /Pages 2 0 R %s >>" % fields,
            b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
            b"<< %s /Annots [6 0 R] %s >>" % (A_PAGE, FONTS),
            stream(b"BT /F1 12 Tf 72 720 Td (Name:) Tj ET"),
            b"<< %s /F 4 %s >>" % (field, place),
            stream(b"BT /F1 12 Tf 2 4 Td (Ada Lovelace) Tj ET", appearance),
        ]
    )


def foreign(text: str = FOREIGN) -> bytes:
    """A page in a font whose characters only its map to Unicode names."""
    codes = {char: 1 + n for n, char in enumerate(dict.fromkeys(text))}
    pairs = "\n".join(f"<{code:04x}> <{ord(char):04x}>" for char, code in codes.items())
    to_unicode = f"""/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /M def
1 begincodespacerange <0000> <ffff> endcodespacerange
{len(codes)} beginbfchar
{pairs}
endbfchar endcmap end end"""
    shown = "".join(f"{codes[char]:04x}" for char in text).encode()
    font = b"/Type /Font /Subtype /Type0 /BaseFont /Made /Encoding /Identity-H"
    system = b"/CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >>"
    metrics = b"/FontBBox [0 0 1000 1000] /ItalicAngle 0 /Ascent 800 /Descent -200 /StemV 80"
    return assemble(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
            b"<< %s /DescendantFonts [6 0 R] /ToUnicode 7 0 R >>" % font,
            b"<< %s %s >>" % (A_PAGE, FONTS),
            stream(b"BT /F1 12 Tf 72 720 Td <%s> Tj ET" % shown),
            b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Made %s /FontDescriptor 8 0 R >>"
            % system,
            stream(to_unicode.encode()),
            b"<< /Type /FontDescriptor /FontName /Made /Flags 4 %s >>" % metrics,
        ]
    )


def garbled() -> bytes:
    """A scan under a text layer without meaning, as a bad converter leaves it."""
    writer = PdfWriter(clone_from=BytesIO(scan(draw(LETTER))))
    layer = PdfReader(BytesIO(foreign("".join(chr(0xE000 + n) for n in range(150)))))
    writer.pages[0].merge_page(layer.pages[0], over=False)
    return written(writer)


def encrypted(user: str) -> bytes:
    writer = PdfWriter(clone_from=BytesIO(make_pdf(LETTER)))
    writer.encrypt(user, "owner", algorithm="RC4-128")
    return written(writer)


def turned_by_its_page() -> bytes:
    """A scan that lies on its side, with the rotation stated in the page."""
    writer = PdfWriter(clone_from=BytesIO(scan(draw(LETTER).rotate(90, expand=True))))
    writer.pages[0].rotate(90)
    return written(writer)


def mixed() -> bytes:
    writer = PdfWriter(clone_from=BytesIO(make_pdf(LEFT)))
    writer.append(BytesIO(scan(draw(RIGHT))))
    return written(writer)


def written(writer: PdfWriter) -> bytes:
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def turned(angle: float) -> bytes:
    return scan(draw(LETTER).rotate(angle, expand=True, fillcolor=255))


def coarse() -> bytes:
    width, height = PAGE
    return scan(draw(LETTER).resize((width // 2, height // 2), Image.Resampling.BILINEAR))


def drawn_columns() -> bytes:
    page = draw("Harbour news", size=30)
    draw(LEFT, at=(100, 220), picture=page)
    return scan(draw(RIGHT, at=(680, 220), picture=page))


def drawn_table() -> bytes:
    page = draw("")
    for y, row in enumerate(ROWS):
        for x, cell in enumerate(row):
            draw(cell, at=(100 + 300 * x, 100 + 60 * y), picture=page)
    return scan(page)


def photo() -> bytes:
    """A photo whose camera was held on its side."""
    sideways = draw(LETTER).rotate(90, expand=True).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it by 90 degrees clockwise
    return encode(sideways, "JPEG", exif=exif, quality=85)


def fax() -> bytes:
    return encode(draw(LETTER).convert("1"), "TIFF")


DOCUMENTS = (
    MadeDocument("text layer", lambda: make_pdf(LETTER), LETTER),
    MadeDocument("two columns, text layer", columns, COLUMNS),
    MadeDocument("table, text layer", table, TABLE),
    MadeDocument("form", form, "Name: Ada Lovelace"),
    MadeDocument("encrypted without a password", lambda: encrypted(""), LETTER),
    MadeDocument("encrypted with a password", lambda: encrypted("x"), None, refusal="password"),
    MadeDocument("300 pages", lambda: make_pdf(*PAGES), "\n".join(PAGES)),
    MadeDocument("empty page", lambda: make_pdf(""), None, refusal="no text"),
    MadeDocument("Japanese and Russian, text layer", foreign, FOREIGN),
    MadeDocument("scan", lambda: scan(draw(LETTER)), LETTER, 0.01, 1),
    MadeDocument(
        "scan, two pages", lambda: scan(draw(LEFT), draw(RIGHT)), f"{LEFT}\n{RIGHT}", 0.01, 2
    ),
    MadeDocument("scan of one line", lambda: scan(draw("Hello")), "Hello", 0.0, 1),
    MadeDocument("scan, turned by 90°", lambda: turned(90), LETTER, 0.02, 1),
    MadeDocument("scan, turned by 180°", lambda: turned(180), LETTER, 0.02, 1),
    MadeDocument("scan, turned by 270°", lambda: turned(270), LETTER, 0.02, 1),
    MadeDocument("scan, askew by 4°", lambda: turned(4), LETTER, 0.02, 1),
    MadeDocument("scan, turned by its page", turned_by_its_page, LETTER, 0.01, 1),
    MadeDocument("scan, blurred and speckled", lambda: scan(noisy(draw(LETTER))), LETTER, 0.02, 1),
    MadeDocument("scan at 75 dpi", coarse, LETTER, 0.03, 1),
    MadeDocument("scan, two columns", drawn_columns, COLUMNS, 0.02, 1),
    MadeDocument("scan, table", drawn_table, TABLE, 0.02, 1),
    MadeDocument(
        "scan, accents", lambda: scan(draw_page(make_pdf(ACCENTS), 0, DPI, 2_000)), ACCENTS, 0.05, 1
    ),
    MadeDocument("scan under a garbled text layer", garbled, LETTER, 0.01, 1),
    MadeDocument("text and scan, mixed", mixed, f"{LEFT}\n{RIGHT}", 0.01, 1),
    MadeDocument("picture (PNG)", lambda: encode(draw(LETTER)), LETTER, 0.01, 1, "image/png"),
    MadeDocument("photo held sideways (JPEG)", photo, LETTER, 0.01, 1, "image/jpeg"),
    MadeDocument("fax (TIFF, black and white)", fax, LETTER, 0.01, 1, "image/tiff"),
)


MARKS = re.compile(r"<file [^>]*>|</file>|\[Page \d+ of \d+\]")


def error_rate(read: str, expected: str) -> float:
    """The edits that turn one text into the other, by the length of the expected one.

    White space of any kind counts as one space.
    """
    found, wanted = (" ".join(MARKS.sub(" ", text).split()) for text in (read, expected))
    if found == wanted:
        return 0.0
    row = list(range(len(wanted) + 1))
    for n, char in enumerate(found, 1):
        before, row[0] = row[0], n
        for m, other in enumerate(wanted, 1):
            before, row[m] = row[m], min(row[m] + 1, row[m - 1] + 1, before + (char != other))
    return row[-1] / len(wanted)


async def read(document: MadeDocument, reading: Reading) -> tuple[str, list[bytes]]:
    """The text and the pictures of a document, as a model gets them."""
    files = FileReader(HERE, reading, PageBudget(300), {})
    pieces = (await files.read(document.content, document.mime, "a")).pieces
    texts = [piece for piece in pieces if isinstance(piece, str)]
    return "\n".join(texts), [piece.content for piece in pieces if isinstance(piece, Picture)]


async def measure(document: MadeDocument) -> list[str]:
    """The cells of a document's row: what a text-only model and one that sees images get."""
    try:
        text, _ = await read(document, Reading())
    except UnfitError as error:
        return [document.kind, f"refused: {str(error).partition(':')[2].strip() or error}", ""]
    expected = document.expected or ""
    read_as_text = f"{error_rate(text, expected):.1%}"
    if document.mime != PDF:
        return [document.kind, read_as_text, "the picture itself"]
    seen, pictures = await read(document, Reading(sees=True))
    texts = [(await HERE.documents.recognize_picture(each)) for each in pictures]
    rate = error_rate("\n".join([seen, *texts]), expected)
    how = f"{len(pictures)} of the pages as pictures, " if pictures else ""
    return [document.kind, read_as_text, f"{how}{rate:.1%}"]


def main() -> None:
    sys.stdout.write("| Document | Text-only model | Model that sees images |\n|---|---|---|\n")
    for document in DOCUMENTS:
        sys.stdout.write(f"| {' | '.join(asyncio.run(measure(document)))} |\n")


if __name__ == "__main__":
    main()
