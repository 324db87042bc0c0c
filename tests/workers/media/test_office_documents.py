"""Office documents and web pages, made here, as a text-only model gets them."""

import io
import sys
import zipfile

import mammoth
import openpyxl
import pptx
import pytest

from broker.requests.plugins import Engine, FileParser
from tests.workers.media.pdfs import ReaderHere, data_uri
from tests.workers.media.test_preparation import ALL, TEXT_ONLY, failure_of, file, parts_of
from workers.media import readers
from workers.media.formats import UnfitError
from workers.media.readers import DocumentReader
from workers.sandbox import office_text
from workers.sandbox.office_text import DOCX, HTML, PPTX, XLSX
from workers.sandbox.pool import Sandbox

CONTENT_TYPES = """<?xml version="1.0"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Override PartName="/word/document.xml" ContentType="{kind}.main+xml"/></Types>"""
RELATIONS = """<?xml version="1.0"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="r1" Target="word/document.xml"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/>
</Relationships>"""
WORD = """<?xml version="1.0"?>
<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>
{body}</w:body></w:document>"""
PARAGRAPH = "<w:p><w:r><w:t>{}</w:t></w:r></w:p>"
CELL = f"<w:tc>{PARAGRAPH}</w:tc>"


def word(*paragraphs, table=()):
    rows = "".join(f"<w:tr>{''.join(CELL.format(cell) for cell in row)}</w:tr>" for row in table)
    body = "".join(PARAGRAPH.format(each) for each in paragraphs)
    body += f"<w:tbl>{rows}</w:tbl>" if rows else ""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("[Content_Types].xml", CONTENT_TYPES.format(kind=DOCX))
        parts.writestr("_rels/.rels", RELATIONS)
        parts.writestr("word/document.xml", WORD.format(body=body))
    return written.getvalue()


def workbook(**sheets):
    made = openpyxl.Workbook()
    made.remove(made.active)
    for title, rows in sheets.items():
        sheet = made.create_sheet(title)
        for row in rows:
            sheet.append(row)
    return saved(made)


def slides(*texts, notes=""):
    made = pptx.Presentation()
    for text in texts:
        slide = made.slides.add_slide(made.slide_layouts[5])
        slide.shapes.title.text = text
        slide.notes_slide.notes_text_frame.text = notes
    return saved(made)


def saved(made):
    written = io.BytesIO()
    made.save(written)
    return written.getvalue()


async def read(content, mime, name="a", **more):
    [part] = await parts_of(file(data_uri(content, mime), name), **{"modalities": TEXT_ONLY} | more)
    opening, *lines, closing = part["text"].split("\n")
    assert (opening, closing) == (f'<file name="{name}">', "</file>")
    return "\n".join(lines)


async def test_a_word_document_is_markdown():
    content = word("Größe &amp; Preis", "日本", table=[["Name", "Sum"], ["Ada", "12"]])
    text = await read(content, DOCX)
    assert "Größe & Preis\n\n日本" in text
    assert "| Ada | 12 |" in text


async def test_a_workbook_is_a_csv_of_each_sheet():
    content = workbook(Sales=[["Month", "Sum"], ["May", 12.5], [], ["a,b", None]], Costs=[[1]])
    assert await read(content, XLSX) == ('## Sales\nMonth,Sum\nMay,12.5\n"a,b"\n## Costs\n1')


async def test_slides_have_their_texts_and_notes():
    text = await read(slides("Plan", "Goal", notes="Be brief"), PPTX)
    assert text == "## Slide 1\nPlan\nNotes: Be brief\n## Slide 2\nGoal\nNotes: Be brief"


async def test_a_web_page_is_markdown_without_its_scripts():
    page = b"<html><head><script>x()</script></head><h1>Title</h1><p>One <b>two</b></p></html>"
    assert await read(page, HTML) == "# Title\n\nOne **two**"


@pytest.mark.parametrize("mime", [DOCX, XLSX, PPTX])
async def test_a_broken_document_is_refused_with_the_remedy(mime):
    failure = await failure_of(file(data_uri(b"PK\x03\x04rubbish", mime)), modalities=TEXT_ONLY)
    assert "damaged" in failure.message
    assert mime in failure.message


async def test_models_that_take_files_get_office_documents_as_text_too():
    assert "Hello" in await read(word("Hello"), DOCX, modalities=ALL)
    native = FileParser(engine=Engine.NATIVE)
    document = file(data_uri(word("Hello"), DOCX))
    assert await parts_of(document, modalities=ALL, parser=native) == [document]
    failure = await failure_of(document, modalities=TEXT_ONLY, parser=native)
    assert "`native`" in failure.message


async def test_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mammoth", None)
    failure = await failure_of(file(data_uri(word("Hello"), DOCX)), modalities=TEXT_ONLY)
    assert "waybill-broker[documents]" in failure.message
    monkeypatch.setitem(sys.modules, "markdownify", None)
    page = b"<p>Hello</p>"
    assert await read(page, HTML) == "<p>Hello</p>"  # it is a text


async def test_a_text_larger_than_any_model_reads_is_refused(monkeypatch):
    monkeypatch.setattr(office_text, "MAX_CHARACTERS", 1_000)
    rows = workbook(A=[["x" * 100]] * 20)
    with pytest.raises(UnfitError, match="more than 1,000 characters"):
        await ReaderHere().convert_document(rows, XLSX)
    assert mammoth.convert_to_html(io.BytesIO(word("a" * 1_200))).value
    with pytest.raises(UnfitError, match="more than 1,000 characters"):
        await ReaderHere().convert_document(word("a" * 1_200), DOCX)


async def test_a_bomb_ends_at_the_limits_of_its_process(monkeypatch):
    monkeypatch.setattr(readers, "PARSE_SECONDS", 2.0)
    sandbox = Sandbox(processes=1)
    try:
        reader = DocumentReader(sandbox, sandbox, "ws_1")
        bomb = word(*["a" * 1_000_000] * 100)  # 100 MB of text in 100 KB
        with pytest.raises(UnfitError, match=r"memory|characters|took more"):
            await reader.convert_document(bomb, DOCX)
        assert await reader.convert_document(word("still here"), DOCX) == ["still here"]
    finally:
        sandbox.close()
