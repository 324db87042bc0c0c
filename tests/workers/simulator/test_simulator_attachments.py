"""Each wire sends images, documents and sounds in its own form."""

from base64 import b64encode

import pytest

PNG = b64encode(b"x" * 68).decode()
PDF = b64encode(b"%PDF-1.4 " + b"x" * 91).decode()
SEEN = "1 image (image/png, 68 bytes) and 1 document (application/pdf, 100 bytes)"


def openai(http, parts):
    messages = [{"role": "user", "content": [{"type": "text", "text": "Look"}, *parts]}]
    answer = http.post("/v1/chat/completions", json={"model": "sim", "messages": messages})
    return answer.status_code, answer.text


def test_openai_images_and_files(http):
    parts = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
        },
    ]
    assert SEEN in openai(http, parts)[1]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "image_url", "image_url": {"url": "https://x.org/a"}}, "1 image (https://x.org/a)"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "1 document (file-1)"),
        ({"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
         "1 sound (audio/wav, 68 bytes)"),
        ({"type": "input_audio", "input_audio": PNG}, "1 sound (audio, 68 bytes)"),  # Mistral's
        ({"type": "document_url", "document_url": "https://x.org/d"}, "1 document (https://x.org/d)"),
        ({"type": "video_url", "video_url": {"url": "https://x.org/v"}}, "1 video (https://x.org/v)"),
    ],
)  # fmt: skip
def test_openai_parts(http, part, words):
    assert words in openai(http, [part])[1]


@pytest.mark.parametrize(
    "part", [{"type": "hologram"}, {"type": "image_url", "image_url": "https://x.org"}, {}]
)
def test_openai_parts_of_no_kind_are_refused(http, part):
    assert openai(http, [part])[0] == 400


def anthropic(http, blocks):
    call = {
        "model": "sim",
        "max_tokens": 500,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Look"}, *blocks]}],
    }
    headers = {"anthropic-version": "2023-06-01"}
    answer = http.post("/v1/messages", json=call, headers=headers)
    return answer.status_code, answer.text


def block(kind, media_type, data):
    source = {"type": "base64", "media_type": media_type, "data": data}
    return {"type": kind, "source": source}


def test_anthropic_images_and_documents(http):
    blocks = [block("image", "image/png", PNG), block("document", "application/pdf", PDF)]
    assert SEEN in anthropic(http, blocks)[1]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"type": "url", "url": "https://x.org/a.pdf"}, "1 document (https://x.org/a.pdf)"),
        ({"type": "text", "media_type": "text/plain", "data": "é"}, "(text/plain, 2 bytes)"),
        ({"type": "file", "file_id": "file_1"}, "1 document (file_1)"),
    ],
)
def test_anthropic_sources(http, source, words):
    assert words in anthropic(http, [{"type": "document", "source": source}])[1]


def test_an_anthropic_source_of_no_kind_is_refused(http):
    status, text = anthropic(http, [{"type": "image", "source": {"type": "wish"}}])
    assert (status, "expected shape" in text) == (400, True)


@pytest.mark.parametrize(
    ("data", "kind"), [("inlineData", "mimeType"), ("inline_data", "mime_type")]
)
def test_gemini_inline_data(http, data, kind):
    parts = [
        {"text": "Look"},
        {data: {kind: "image/png", "data": PNG}},
        {data: {kind: "application/pdf", "data": PDF}},
    ]
    call = {"contents": [{"role": "user", "parts": parts}]}
    answer = http.post("/v1beta/models/sim:generateContent", json=call).json()
    assert SEEN in answer["candidates"][0]["content"]["parts"][0]["text"]
    assert answer["usageMetadata"]["promptTokenCount"] == 1 + 2 * 258


def test_gemini_file_data(http):
    file = {"fileData": {"fileUri": "gs://b/clip", "mimeType": "video/mp4"}}
    call = {"contents": [{"role": "user", "parts": [{"text": "Look"}, file]}]}
    answer = http.post("/v1beta/models/sim:generateContent", json=call)
    assert "1 video (gs://b/clip)" in answer.text
