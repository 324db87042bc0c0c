"""Embeddings, images, completions, reranking, transcription, speech."""

import base64
import io
import struct
import wave
import zlib
from math import isclose, sqrt

import httpx
import openai
import pytest

from workers.simulator.media import wav
from workers.simulator.text_operations import score

MESSAGES = [{"role": "user", "content": "Draw a ship"}]


def pixels(png):
    """Read a PNG the long way: every chunk and its checksum."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        data = png[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack(">I", png[at + 8 + length : at + 12 + length])
        assert zlib.crc32(kind + data) == checksum
        chunks[kind] = data
        at += 12 + length
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    rows = zlib.decompress(chunks[b"IDAT"])
    assert len(rows) == height * (1 + 3 * width)
    assert kind == b"IEND"
    return rows


# embeddings


def vectors(sdk, given, **more):
    answer = sdk.embeddings.create(model="sim", input=given, **more)
    assert [each.index for each in answer.data] == list(range(len(answer.data)))
    return [each.embedding for each in answer.data]


def test_an_embedding_has_unit_length_and_is_always_the_same(sdk):
    (first,) = vectors(sdk, "a harbour")
    assert len(first) == 1536
    assert isclose(sqrt(sum(number * number for number in first)), 1, abs_tol=1e-6)
    assert vectors(sdk, ["a harbour", "a ship"])[0] == first
    assert vectors(sdk, "a ship") != [first]


@pytest.mark.parametrize("given", ["text", ["one", "two"], [1, 2, 3], [[1, 2], [3]]])
def test_floats_and_base64_are_the_same_numbers(sdk, given):
    floats = vectors(sdk, given, encoding_format="float", dimensions=8)
    packed = vectors(sdk, given, encoding_format="base64", dimensions=8)
    assert len(floats) == (2 if given in (["one", "two"], [[1, 2], [3]]) else 1)
    for plain, text in zip(floats, packed, strict=True):
        assert struct.unpack("<8f", base64.b64decode(text)) == pytest.approx(plain, abs=1e-7)


def test_embedded_tokens_are_counted(sdk):
    usage = sdk.embeddings.create(model="sim", input=[[1, 2], [3]]).usage
    assert (usage.prompt_tokens, usage.total_tokens) == (3, 3)


@pytest.mark.parametrize(
    "more",
    [{"input": ""}, {"input": []}, {"input": ["a", ""]}, {"input": 5}, {"dimensions": 9999},
     {"dimensions": "x"}, {"encoding_format": "hex"}],
)  # fmt: skip
def test_what_cannot_be_embedded_is_refused(sdk, more):
    with pytest.raises(openai.BadRequestError):
        sdk.embeddings.create(**{"model": "sim", "input": "x"} | more)


# images


def test_images_are_png(sdk):
    answer = sdk.images.generate(model="sim", prompt="A ship", n=2)
    images = [pixels(base64.b64decode(each.b64_json)) for each in answer.data]
    assert images[0] != images[1]
    assert answer.usage.output_tokens == 2 * 258
    assert answer.output_format == "png"


def test_images_are_served_at_their_addresses(sdk, simulator):
    options = {"model": "sim", "prompt": "A ship"}
    (image,) = sdk.images.generate(**options, response_format="url").data
    assert image.url.startswith(f"http://{simulator.host}:{simulator.port}/")
    served = httpx.get(image.url)
    assert served.headers["content-type"] == "image/png"
    assert served.content == base64.b64decode(sdk.images.generate(**options).data[0].b64_json)


@pytest.mark.parametrize("name", ["zzzzzz.png", "00.png", "112233.gif"])
def test_there_is_no_other_image(http, name):
    assert http.get(f"/_images/{name}").status_code == 404


@pytest.mark.parametrize("more", [{"prompt": " "}, {"n": 99}, {"response_format": "svg"}])
def test_what_cannot_be_drawn_is_refused(sdk, more):
    with pytest.raises(openai.BadRequestError):
        sdk.images.generate(**{"model": "sim", "prompt": "x"} | more)


def test_a_chat_draws_where_asked_to(sdk):
    asked = {"messages": MESSAGES, "extra_body": {"modalities": ["image", "text"]}}
    answer = sdk.chat.completions.create(model="sim-image", **asked)
    (image,) = answer.choices[0].message.images
    address = image["image_url"]["url"]
    pixels(base64.b64decode(address.removeprefix("data:image/png;base64,")))
    assert "You wrote" in answer.choices[0].message.content
    chunks = sdk.chat.completions.create(model="sim-image", stream=True, **asked)
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert [each.images for each in deltas if hasattr(each, "images")] == [[image]]


@pytest.mark.parametrize(
    ("model", "modalities"), [("sim", ["image", "text"]), ("sim-image", ["text"])]
)
def test_a_chat_draws_nothing_otherwise(sdk, model, modalities):
    body = {"modalities": modalities}
    answer = sdk.chat.completions.create(model=model, messages=MESSAGES, extra_body=body)
    assert not hasattr(answer.choices[0].message, "images")


# completions


def test_a_text_is_completed(sdk):
    answer = sdk.completions.create(model="sim-echo", prompt="once upon a time")
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("once upon a time", "stop")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 4)


def test_a_completion_is_streamed(sdk):
    options = {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": 3}
    *chunks, end, last = sdk.completions.create(model="sim-story", prompt="Tell", **options)
    assert "".join(chunk.choices[0].text for chunk in chunks) == "The harbour "
    assert end.choices[0].finish_reason == "length"
    assert (last.choices, last.usage.completion_tokens) == ([], 3)


def test_tokens_are_completed(sdk):
    assert sdk.completions.create(model="sim", prompt=[1, 2, 3]).usage.prompt_tokens == 3


@pytest.mark.parametrize("prompt", [["a", "b"], [], None, 5, [[1], [2]]])
def test_what_cannot_be_completed_is_refused(sdk, prompt):
    with pytest.raises(openai.BadRequestError):
        sdk.completions.create(model="sim", prompt=prompt)


# reranking

DOCUMENTS = ["Nevada's capital is Carson City.", {"text": "Ships"}, "Paris, the capital of France!"]


def rerank(http, path="/v1/rerank", **more):
    call = {"model": "sim", "query": "capital of France", "documents": DOCUMENTS} | more
    return http.post(path, json=call)


def test_documents_are_ranked_by_the_words_they_share(http):
    answer = rerank(http).json()
    ranks = [(each["index"], each["relevance_score"]) for each in answer["results"]]
    assert ranks == [(2, 1.0), (0, 0.333333), (1, 0.0)]
    assert answer["results"][2]["document"] == {"text": "Ships"}
    assert answer["usage"]["total_tokens"] > 0


def test_cohere_ranks_in_its_own_words(http):
    answer = rerank(http, "/v2/rerank", top_n=1).json()
    assert answer["results"] == [{"index": 2, "relevance_score": 1.0}]
    assert answer["meta"]["billed_units"] == {"search_units": 1}
    refused = rerank(http, "/v2/rerank", model="sim-429")
    assert (refused.status_code, set(refused.json())) == (429, {"id", "message"})


@pytest.mark.parametrize("more", [{"query": ""}, {"documents": []}, {"documents": [1]}])
def test_what_cannot_be_ranked_is_refused(http, more):
    assert rerank(http, **more).status_code == 400


def test_a_query_without_words_finds_nothing():
    assert score("?!", "anything") == 0


# audio


def test_a_file_is_transcribed(sdk):
    file = ("hello.wav", wav("hello"), "audio/wav")
    told = f"The file is called hello.wav and has {len(file[1])} bytes."
    transcribe = sdk.audio.transcriptions.create
    assert transcribe(model="sim", file=file).text == told
    assert transcribe(model="sim", file=file, response_format="text") == told + "\n"
    verbose = transcribe(model="sim", file=file, response_format="verbose_json", language="fr")
    assert (verbose.text, verbose.language, verbose.duration) == (told, "fr", 0.25)
    assert verbose.segments[0].end == 0.25


def test_bytes_that_look_like_a_form_are_kept(http):
    data = b"\r\n--x\r\n\r\n\0\r\n"
    files = {"file": ("näme.mp3", data, "audio/mpeg")}
    answer = http.post("/v1/audio/transcriptions", data={"model": "sim"}, files=files).json()
    assert answer["text"] == f"The file is called näme.mp3 and has {len(data)} bytes."


@pytest.mark.parametrize(
    "call",
    [
        {"json": {"model": "sim"}},
        {"data": {"model": "sim"}},
        {"files": {"file": b"x"}},
        {"data": {"model": "sim", "response_format": "xml"}, "files": {"file": b"x"}},
    ],
)
def test_what_cannot_be_transcribed_is_refused(http, call):
    assert http.post("/v1/audio/transcriptions", **call).status_code == 400


def test_speech_is_a_wav_file(sdk):
    speak = sdk.audio.speech.create
    answer = speak(model="sim", voice="alloy", input="Good morning")
    assert answer.response.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(answer.content)) as sound:
        assert sound.getnframes() / sound.getframerate() == 0.6
        frames = sound.readframes(sound.getnframes())
    bare = speak(model="sim", voice="alloy", input="Good morning", response_format="pcm")
    assert (bare.content, bare.response.headers["content-type"]) == (frames, "audio/pcm")


@pytest.mark.parametrize("more", [{"input": ""}, {"voice": ""}, {"input": "x" * 5000}])
def test_what_cannot_be_said_is_refused(sdk, more):
    with pytest.raises(openai.BadRequestError):
        sdk.audio.speech.create(**{"model": "sim", "voice": "a", "input": "x"} | more)


# what they share with the chat

CALLS = {
    "/v1/embeddings": {"input": "x"},
    "/v1/images/generations": {"prompt": "x"},
    "/v1/completions": {"prompt": "x"},
    "/v1/rerank": {"query": "x", "documents": ["x"]},
    "/v2/rerank": {"query": "x", "documents": ["x"]},
    "/v1/audio/speech": {"input": "x", "voice": "alloy"},
}


@pytest.mark.parametrize("path", CALLS)
def test_faults_and_counters_are_shared(http, simulator, path):
    statuses = {
        model: http.post(path, json=CALLS[path] | {"model": model}).status_code
        for model in ("sim", "sim-lat5", "sim-429", "sim-500", "sim-garbage", "gpt-9")
    }
    assert list(statuses.values()) == [200, 200, 429, 500, 200, 404]
    call = CALLS[path] | {"model": "sim-fail1", "user": path}  # a body of its own
    failing = [http.post(path, json=call) for _ in range(2)]
    assert [answer.status_code for answer in failing] == [500, 200]
    assert simulator.counters.by_model["sim-fail1"] >= 2
    with pytest.raises(httpx.RemoteProtocolError):
        http.post(path, json=CALLS[path] | {"model": "sim-cut"})


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"model": "sim"}'])
def test_a_malformed_call_is_refused(http, path, body):
    assert http.post(path, content=body).status_code == 400


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("name", [None, 5, []])
def test_a_tool_without_a_name_is_refused(http, path, name):
    tool = {"name": name, "input_schema": {}, "function": {"name": name}}
    call = {"model": "sim-tools", "max_tokens": 9, "messages": MESSAGES, "tools": [tool]}
    answer = http.post(path, json=call, headers={"anthropic-version": "2023-06-01"})
    assert answer.status_code == 400
