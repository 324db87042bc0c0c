"""Chat bodies made to fit, with a real web server to fetch from."""

import base64
import hashlib
from urllib.parse import quote

import orjson
import pytest

from broker.completion import (
    AttemptOutcome,
    Chunk,
    Completion,
    CompletionRequest,
    ErrorType,
    Failure,
)
from broker.lifecycle.retries import REACTIONS
from broker.requests.plugins import FileParser, read_file_parser
from tests.workers.media.pdfs import HERE, data_uri, make_pdf
from workers.adapters.base import Upstream
from workers.adapters.media import read_media
from workers.adapters.registry import ADAPTERS
from workers.media import Annotator, Prepared, Readers, prepare

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF"
PDF = make_pdf("The first page", "The second (last) page")
TEXT_ONLY = frozenset({"text"})
ALL = frozenset({"text", "image", "file", "audio", "video"})


async def no_fetch(url):
    raise AssertionError(f"{url} was fetched")


def body(*parts, earlier=()):
    question = {"type": "text", "text": "What is it?"}
    return {"messages": [*earlier, {"role": "user", "content": [question, *parts]}]}


def image(url, **more):
    return {"type": "image_url", "image_url": {"url": url, **more}}


def file(data, name="paper.pdf"):
    return {"type": "file", "file": {"filename": name, "file_data": data}}


async def prepared(*parts, wire="openai", fetch=no_fetch, modalities=None, earlier=(), **more):
    asked = body(*parts, earlier=earlier)
    before = orjson.dumps(asked)
    result = await prepare(
        asked,
        modalities=modalities,
        adapter=ADAPTERS[wire],
        fetch=fetch,
        **{"readers": HERE} | more,
    )
    assert orjson.dumps(asked) == before
    return result


async def parts_of(*parts, **more):
    result = await prepared(*parts, **more)
    assert isinstance(result, Prepared), result
    return result.body["messages"][-1]["content"][1:]


async def failure_of(*parts, **more):
    result = await prepared(*parts, **more)
    assert isinstance(result, Failure)
    assert result.outcome is AttemptOutcome.NOT_SENT
    assert result.error_type not in REACTIONS  # the request's own fault: only another model
    return result


async def test_a_body_of_text_is_passed_on_untouched():
    plain = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant"}], "model": "m"}
    result = await prepare(
        plain, modalities=None, adapter=ADAPTERS["gemini"], fetch=no_fetch, readers=HERE
    )
    assert result == Prepared(plain)
    assert result.body is plain


@pytest.mark.parametrize("wire", ["openai", "anthropic", "cohere", "mistral", "azure"])
async def test_image_urls_go_to_providers_that_fetch_them(wire):
    part = image("https://example.com/cat.png", detail="low")
    assert await parts_of(part, wire=wire) == [part]


@pytest.mark.parametrize("wire", ["gemini", "bedrock"])
async def test_image_urls_are_fetched_for_those_that_do_not(wire, shop, fetch):
    url = shop.put("/cat", PNG, "image/png")
    part = image(url, detail="low") | {"cache_control": {"type": "ephemeral"}}
    [fitted] = await parts_of(part, wire=wire, fetch=fetch)
    assert fitted == image(data_uri(PNG, "image/png"), detail="low") | {
        "cache_control": {"type": "ephemeral"}
    }
    assert shop.heard == ["/cat"]


async def test_a_vendor_of_the_openai_wire_may_need_bytes(shop, fetch):
    url = shop.put("/cat", PNG)
    quirks = frozenset({"inline_media"})
    [fitted] = await parts_of(image(url), fetch=fetch, quirks=quirks)
    assert fitted == image(data_uri(PNG, "image/png"))


@pytest.mark.parametrize(
    ("wire", "url"),
    [("gemini", "gs://bucket/cat.png"), ("gemini", "https://youtu.be/x"), ("bedrock", "s3://b/k")],
)
async def test_addresses_only_the_provider_can_open_are_passed_on(wire, url):
    part = {"type": "video_url", "video_url": {"url": url}}
    assert await parts_of(part, wire=wire) == [part]


async def test_the_type_is_told_by_the_bytes(shop, fetch):
    url = shop.put("/cat.png", JPEG, "image/png; charset=binary")
    [fitted] = await parts_of(image(url), wire="gemini", fetch=fetch)
    assert fitted["image_url"]["url"].startswith("data:image/jpeg;base64,")
    [fitted] = await parts_of(image(data_uri(JPEG, "image/png")))
    assert fitted == image(data_uri(JPEG, "image/jpeg"))


@pytest.mark.parametrize(
    ("body", "mime", "status", "error_type"),
    [
        (PNG, "image/png", 404, ErrorType.IMAGE_DOWNLOAD_FAILED),
        (PNG, "image/png", 500, ErrorType.IMAGE_DOWNLOAD_FAILED),
        (b"<html>", "text/html", 200, ErrorType.INVALID_IMAGE),
        (PNG, "text/html", 200, ErrorType.INVALID_IMAGE),
        (b"nothing", "application/octet-stream", 200, ErrorType.INVALID_IMAGE),
        (b"", None, 200, ErrorType.INVALID_IMAGE),
        (PDF, "application/pdf", 200, ErrorType.INVALID_IMAGE),
        (b"<svg/>", "image/svg+xml", 200, ErrorType.UNSUPPORTED_IMAGE_FORMAT),
        (b"II*\x00rest", "image/tiff", 200, ErrorType.UNSUPPORTED_IMAGE_FORMAT),
        (PNG + bytes(60_000), "image/png", 200, ErrorType.IMAGE_TOO_LARGE),
    ],
)
async def test_what_is_no_good_image_says_so(shop, fetch, body, mime, status, error_type):
    url = shop.put("/cat", body, mime, status=status)
    failure = await failure_of(image(f"{url}?token=secret"), wire="gemini", fetch=fetch)
    assert failure.error_type is error_type
    assert "secret" not in failure.message


async def test_redirects_are_not_followed(shop, fetch):
    url = shop.put("/cat", b"", status=302, location="http://169.254.169.254/latest")
    failure = await failure_of(image(url), wire="gemini", fetch=fetch)
    assert failure.error_type is ErrorType.IMAGE_DOWNLOAD_FAILED
    assert "redirect" in failure.message


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:{port}/cat", "https://169.254.169.254/latest", "https://localhost/x",
     "http://2130706433/", "https://[::ffff:10.0.0.1]/", "gs://bucket/cat", "nonsense"],
)  # fmt: skip
async def test_private_addresses_are_refused_without_a_setting(shop, strict_fetch, url):
    where = url.replace("{port}", str(shop.port))
    failure = await failure_of(image(where), wire="bedrock", fetch=strict_fetch)
    assert failure.error_type is ErrorType.IMAGE_DOWNLOAD_FAILED
    failure = await failure_of(file(f"https://10.0.0.1/{where[-3:]}"), fetch=strict_fetch)
    assert failure.error_type is ErrorType.INVALID_REQUEST
    assert shop.heard == []


async def test_image_data_that_is_none_is_refused():
    for data in ("data:image/png;base64,!!!!", data_uri(b"hello world", "text/plain")):
        failure = await failure_of(image(data))
        assert failure.error_type is ErrorType.INVALID_IMAGE


@pytest.mark.parametrize(
    ("part", "actual"),
    [
        (image(data_uri(b"hello world", "text/plain")), "of type text/plain"),
        (image(data_uri(PDF, "image/png")), "of type application/pdf"),
        ({"type": "image", "source": {"type": "base64", "data": "aGVsbG8="}}, "of an unknown type"),
    ],
)
async def test_image_data_that_is_none_is_refused_in_plain_words(part, actual):
    failure = await failure_of(part)
    assert failure.message == (
        f"messages.0.content.1: the data is not an image. It is {actual}. "
        "Send a PNG, JPEG, WebP or GIF image."
    )


DOCUMENTS = [
    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf",
                                    "data": base64.b64encode(PDF).decode()}, "title": "paper.pdf"},
    file(data_uri(PDF)),
    file(base64.b64encode(PDF).decode()),
]  # fmt: skip


@pytest.mark.parametrize("part", DOCUMENTS, ids=["document", "file", "bare base64"])
async def test_every_form_of_a_file_becomes_one(part):
    assert await parts_of(part, modalities=ALL) == [file(data_uri(PDF))]


async def test_a_document_without_a_title_gets_none_on_a_wire_that_needs_none():
    source = {"type": "text", "media_type": "text/plain", "data": "Text."}
    [part] = await parts_of({"type": "document", "source": source}, modalities=ALL)
    assert read_media(part).title is None


@pytest.mark.parametrize("part", DOCUMENTS, ids=["document", "file", "bare base64"])
async def test_a_model_without_file_input_gets_the_text(part):
    result = await prepared(part, modalities=TEXT_ONLY)
    text = result.body["messages"][-1]["content"][1]
    assert text == {
        "type": "text",
        "text": '<file name="paper.pdf">\n[Page 1 of 2]\nThe first page\n'
        "[Page 2 of 2]\nThe second (last) page\n</file>",
    }
    assert result.annotations == [
        {
            "type": "file",
            "file": {
                "hash": hashlib.sha256(PDF).hexdigest(),
                "name": "paper.pdf",
                "content": [
                    {"type": "text", "text": '<file name="paper.pdf">'},
                    {"type": "text", "text": "[Page 1 of 2]\nThe first page"},
                    {"type": "text", "text": "[Page 2 of 2]\nThe second (last) page"},
                    {"type": "text", "text": "</file>"},
                ],
            },
        }
    ]


async def test_a_parsed_file_sent_back_is_not_parsed_again():
    first = await prepared(file(data_uri(PDF)), modalities=TEXT_ONLY)
    answered = {"role": "assistant", "content": "A paper.", "annotations": first.annotations}
    sent_back = file(data_uri(PDF))
    again = await prepared(
        sent_back, modalities=TEXT_ONLY, earlier=[answered], readers=Readers(None, None)
    )
    assert again.body["messages"][-1]["content"] == first.body["messages"][-1]["content"]
    assert again.annotations == []


async def test_pdf_urls(shop, fetch):
    url = shop.put("/a/paper.pdf", PDF, "application/pdf")
    for part in (file(url), {"type": "document", "source": {"type": "url", "url": url}}):
        [text] = await parts_of(part, modalities=TEXT_ONLY, fetch=fetch)
        assert text["text"].startswith('<file name="paper.pdf">')
        [native] = await parts_of(part, modalities=ALL, fetch=fetch)
        assert native["file"]["file_data"] == data_uri(PDF)
        [passed] = await parts_of(part, modalities=ALL, wire="anthropic")
        assert passed["file"]["file_data"] == url


async def test_an_error_page_is_no_pdf(shop, fetch):
    url = shop.put("/paper.pdf", b"<html>Sorry</html>", "text/html")
    failure = await failure_of(file(url), modalities=TEXT_ONLY, fetch=fetch)
    assert "text/html" in failure.message


@pytest.mark.parametrize(
    ("wire", "native"),
    [("openai", False), ("cohere", False), ("azure", False), ("bedrock", False),
     ("anthropic", True), ("gemini", True), ("mistral", True)],
)  # fmt: skip
async def test_of_an_unknown_model_the_wire_decides(wire, native):
    [part] = await parts_of(file(data_uri(PDF)), wire=wire)
    assert part["type"] == ("file" if native else "text")


@pytest.mark.parametrize(
    ("engine", "modalities", "kind"),
    [("native", ALL, "file"), ("native", None, "file"), ("native", TEXT_ONLY, None),
     ("pdf-text", ALL, "text"), ("cloudflare-ai", ALL, "text"), ("pdf-text", TEXT_ONLY, "text"),
     ("mistral-ocr", ALL, "text"), ("mistral-ocr", TEXT_ONLY, "text"),
     ("local-ocr", ALL, "text"), (None, ALL, "file")],
)  # fmt: skip
async def test_the_plugins_engine_is_honoured(engine, modalities, kind):
    pdf = {"engine": engine} if engine else {}
    parser = read_file_parser([{"id": "web"}, {"id": "file-parser", "pdf": pdf}])
    result = await prepared(file(data_uri(PDF)), modalities=modalities, parser=parser)
    if kind is None:
        assert isinstance(result, Failure)
        assert result.error_type is ErrorType.INVALID_REQUEST
        assert "native" in result.message
    else:
        assert result.body["messages"][-1]["content"][1]["type"] == kind


async def test_without_the_plugin_nothing_is_read():
    await failure_of(file(data_uri(PDF)), modalities=TEXT_ONLY, parser=FileParser(enabled=False))


async def test_text_files_are_read_too():
    part = file(data_uri("Größe,1\n".encode(), "text/csv"), 'a"<b>.csv')
    [text] = await parts_of(part, modalities=TEXT_ONLY)
    assert text["text"] == '<file name="a\'(b).csv">\nGröße,1\n\n</file>'


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"%PDF-1.4 broken", "PDF"),
        (make_pdf("", ""), "no text"),
        (b"", ""),
    ],
)
async def test_a_pdf_without_readable_text_says_so(data, word):
    failure = await failure_of(file(data_uri(data)), modalities=TEXT_ONLY)
    assert word in failure.message
    assert failure.error_type is ErrorType.INVALID_REQUEST


async def test_office_files_need_a_model_that_takes_files():
    sheet = file(data_uri(b"PK\x03\x04", "application/vnd.ms-excel"), "a.xls")
    assert (await parts_of(sheet, modalities=ALL)) == [sheet]
    await failure_of(sheet, modalities=TEXT_ONLY)


async def test_a_file_that_is_an_image_is_an_image():
    [part] = await parts_of(file(data_uri(PNG, "image/png"), "cat.png"))
    assert part == image(data_uri(PNG, "image/png"))


async def test_audio_and_video(shop, fetch):
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}
    assert await parts_of(sound) == [sound]
    url = shop.put("/a.wav", b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/x-wav")
    by_url = {"type": "input_audio", "input_audio": {"data": url, "format": "wav"}}
    [fitted] = await parts_of(by_url, fetch=fetch)
    assert fitted["input_audio"]["format"] == "wav"
    url = shop.put("/a.mp4", b"\x00\x00\x00\x18ftypisom", "video/mp4")
    film = {"type": "video_url", "video_url": {"url": url}}
    assert await parts_of(film) == [film]
    [fitted] = await parts_of(film, wire="gemini", fetch=fetch)
    assert fitted["video_url"]["url"].startswith("data:video/mp4;base64,")
    assert (await failure_of(film, wire="anthropic")).error_type is ErrorType.INVALID_REQUEST


async def test_attachments_in_tool_results_are_seen_to(shop, fetch):
    url = shop.put("/cat", PNG)
    tool = {"role": "tool", "tool_call_id": "1", "content": [image(url)]}
    result = await prepared(wire="gemini", fetch=fetch, earlier=[tool])
    assert result.body["messages"][0]["content"] == [image(data_uri(PNG, "image/png"))]


@pytest.mark.parametrize("wire", ADAPTERS)
async def test_every_wire_can_send_what_was_prepared(wire, shop, fetch):
    url = shop.put("/cat", PNG)
    pdf = shop.put("/paper.pdf", PDF)
    adapter = ADAPTERS[wire]
    result = await prepare(
        body(image(url), file(pdf)),
        modalities=None,
        adapter=adapter,
        fetch=fetch,
        readers=HERE,
    )
    upstream = Upstream("x", "https://x.example/v1", api_key="a:b", options={"region": "us-east-1"})
    sent = adapter.build_request(
        CompletionRequest(result.body, "some-model"), upstream
    ).body.decode()
    if "image" not in adapter.fetches:
        assert base64.b64encode(PNG).decode() in sent
    if "file" in adapter.accepts and adapter.reads_files:
        assert base64.b64encode(PDF).decode() in sent or pdf in sent
    else:
        assert "[Page 2 of 2]" in sent


WAV = b"RIFF\x24\x00\x00\x00WAVEfmt \xfb\xff\xbf"
MP4 = b"\x00\x00\x00\x20ftypisom\xfb\xff\xbf"


def lines(data):
    return "\n".join(data[at : at + 40] for at in range(0, len(data), 40))


SPELLINGS = {
    "upper case": lambda mime, data: f"DATA:{mime};BASE64,{data}",
    "white space": lambda mime, data: f" data:{mime} ; base64, {data} ",
    "line breaks": lambda mime, data: f"data:{mime};base64,{lines(data)}",
    "no padding": lambda mime, data: f"data:{mime};base64,{data.rstrip('=')}",
    "for URLs": lambda mime, data: (
        f"data:{mime};base64,{data.replace('+', '-').replace('/', '_').rstrip('=')}"
    ),
    "percent-encoded": lambda mime, data: f"data:{mime};base64,{quote(data, safe='')}",
    "a charset": lambda mime, data: f"data:{mime};charset=utf-8;base64,{data}",
}
HOLDERS = {
    "image": (PNG, "image/png", image),
    "file": (PDF, "application/pdf", file),
    "document": (
        PDF,
        "application/pdf",
        lambda data: {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": data},
        },
    ),
    "audio": (
        WAV,
        "audio/wav",
        lambda data: {"type": "input_audio", "input_audio": {"data": data}},
    ),
    "video": (MP4, "video/mp4", lambda data: {"type": "video_url", "video_url": {"url": data}}),
}
TAKES = {"image": "image", "file": "file", "document": "file", "audio": "audio", "video": "video"}


@pytest.mark.parametrize("wire", ADAPTERS)
@pytest.mark.parametrize("kind", HOLDERS)
@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_every_wire_sends_plain_base64_whatever_the_spelling(wire, kind, spelling):
    content, mime, part = HOLDERS[kind]
    adapter = ADAPTERS[wire]
    if TAKES[kind] not in adapter.accepts:
        pytest.skip(f"{wire} takes no {kind}")
    plain = base64.b64encode(content).decode()
    asked = body(part(SPELLINGS[spelling](mime, plain)))
    result = await prepare(asked, modalities=ALL, adapter=adapter, fetch=no_fetch, readers=HERE)
    upstream = Upstream("x", "https://x.example/v1", api_key="a:b", options={"region": "us-east-1"})
    sent = adapter.build_request(
        CompletionRequest(result.body, "some-model"), upstream
    ).body.decode()
    assert f'{plain}"' in sent


@pytest.mark.parametrize("kind", HOLDERS)
async def test_data_that_cannot_be_read_is_refused_by_its_place(kind):
    _, mime, part = HOLDERS[kind]
    for data in (f"data:{mime};base64,!!!!", f"data:{mime};base64,QUFBQ", f"data:{mime};base64,"):
        failure = await failure_of(part(data))
        assert failure.outcome is AttemptOutcome.NOT_SENT
        assert failure.message.startswith("messages.0.content.1: the data of the ")


def test_annotations_go_with_the_first_chunk_and_with_the_whole_answer():
    annotator = Annotator([{"type": "file"}])
    role, empty = {"index": 0, "delta": {"role": "assistant"}}, Chunk()
    assert annotator.chunk(empty) is empty
    first = annotator.chunk(Chunk([role]))
    assert first.choices[0]["delta"] == {"role": "assistant", "annotations": [{"type": "file"}]}
    second = Chunk([role])
    assert annotator.chunk(second) is second
    cited = {"index": 0, "message": {"content": "a", "annotations": [{"type": "url_citation"}]}}
    told = annotator.answer(Completion([cited]))
    assert [a["type"] for a in told.choices[0]["message"]["annotations"]] == [
        "url_citation",
        "file",
    ]
    untouched = Completion([cited])
    assert Annotator(()).answer(untouched) is untouched
