"""Everything besides chat, each as a call, as a job, and as a call that does not wait."""

import base64
import io
from typing import Any

import httpx
import openai
import pytest
from openai.types.audio.transcription import UsageTokens

from tests.e2e import batching
from tests.e2e.conftest import WAV as SOUND
from tests.e2e.wires import GEMINI_LIKE
from tests.installation import Installation
from tests.stacks import any_stack

pytestmark = any_stack

AUDIO = {"data": base64.b64encode(SOUND).decode(), "format": "wav"}
BODIES: dict[str, dict[str, Any]] = {
    "/embeddings": {"input": ["one", "two"], "dimensions": 4},
    "/images/generations": {"prompt": "A red square", "n": 2},
    "/completions": {"prompt": "Once upon a time"},
    "/rerank": {"query": "red fox", "documents": ["a dog", "a red fox", "red"]},
    "/moderations": {"input": ["a kind word", "violence and hate"]},
    "/audio/transcriptions": {"input_audio": AUDIO},
    "/audio/speech": {"input": "Hello there", "voice": "alloy", "response_format": "wav"},
}
OPENAI_PATHS = ("openai", "azure", "deployment")

every_operation = pytest.mark.parametrize("path", BODIES)


def body(path: str, wire: str = "openai", **more: Any) -> dict[str, Any]:
    return {"model": f"{wire}/sim", **BODIES[path], **more}


def answered(answer: httpx.Response) -> Any:
    """Return an answer without what is new each time; sound as it came."""
    assert answer.status_code == 200, answer.text
    if not answer.headers["content-type"].startswith("application/json"):
        return answer.content
    return lasting(answer.json())


def lasting(found: dict[str, Any]) -> dict[str, Any]:
    fresh = {"id", "created", "url", "file_id", "response_format"}
    kept = {name: value for name, value in found.items() if name not in fresh}
    if isinstance(kept.get("data"), list):
        kept["data"] = [{n: v for n, v in each.items() if n not in fresh} for each in kept["data"]]
    return kept


def told(job: dict[str, Any]) -> Any:
    """Return what a job's answer comes to: sound is behind its link."""
    assert job["status"] == "completed", job
    response = job["response"]
    if response.get("object") == "audio.speech":
        return httpx.get(response["url"]).content
    return lasting(response)


@every_operation
def test_a_call_is_a_job_that_is_charged(wires: Installation, path: str) -> None:
    asked = body(path)
    answer = wires.http.post(path, json=asked)
    whole = answered(answer)
    job = wires.job(answer.headers["x-job-id"])
    assert told(job) == whole
    assert job["endpoint"] == f"/v1{path}"
    assert (job["model"], job["provider"]) == ("openai/sim", "openai")
    usage = job["usage"]
    spent = usage["prompt_tokens"] * 3 + usage["completion_tokens"] * 15
    if path == "/audio/transcriptions":  # what is heard is paid by its length, a dollar a second
        spent = 1e6
    assert usage["cost"] == pytest.approx(spent / 1e6)
    assert usage["cost"] > 0
    generation = answer.headers["x-generation-id"]
    found = wires.http.get("/generation", params={"id": generation}).json()["data"]
    assert found["total_cost"] == usage["cost"]
    assert found["request_id"] == job["id"]
    if isinstance(whole, dict):
        assert whole["usage"]["cost"] == usage["cost"]
        assert (whole["model"], whole["provider"]) == ("openai/sim", "openai")


@every_operation
def test_a_job_brings_the_same_answer(wires: Installation, path: str) -> None:
    submitted = wires.http.post("/jobs", json={"endpoint": f"/v1{path}", "body": body(path)})
    assert submitted.status_code == 202, submitted.text
    ended = wires.await_job(submitted.json()["id"])
    assert told(ended) == answered(wires.http.post(path, json=body(path)))


@every_operation
def test_a_call_need_not_wait(wires: Installation, path: str) -> None:
    asked = {"json": body(path), "headers": {"Prefer": "respond-async"}}
    accepted = wires.http.post(path, **asked)
    assert accepted.status_code == 202
    assert accepted.headers["preference-applied"] == "respond-async"
    ended = wires.await_job(accepted.headers["location"].rpartition("/")[2])
    assert told(ended) == answered(wires.http.post(path, json=body(path)))


@every_operation
def test_the_same_key_is_the_same_job(wires: Installation, path: str) -> None:
    asked = body(path, user=f"once {path}")
    headers = {"Idempotency-Key": f"once {path}"}
    first, again = (wires.http.post(path, json=asked, headers=headers) for _ in "12")
    assert first.headers["x-job-id"] == again.headers["x-job-id"]
    assert answered(first) == answered(again)
    wrapped = {"endpoint": f"/v1{path}", "body": asked}
    job = wires.http.post("/jobs", json=wrapped, headers=headers)
    assert job.json()["id"] == first.headers["x-job-id"]
    assert wires.calls(f"once {path}")["matching"] == 1
    other = wires.http.post(path, json=asked | {"user": "two"}, headers=headers)
    assert other.status_code == 422


@pytest.mark.parametrize("wire", [*OPENAI_PATHS, "mistral"])
def test_embeddings_in_every_form(sdk: openai.OpenAI, wire: str) -> None:
    """The SDK asks for base64 unless it is told otherwise."""
    embed = sdk.embeddings.create
    model = f"{wire}/sim"
    single = embed(model=model, input="hello")
    assert len(single.data[0].embedding) == 1536
    assert single.usage.prompt_tokens == 2
    plain = embed(model=model, input="hello", encoding_format="float")
    assert single.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
    many = embed(model=model, input=["hello", "there"], dimensions=8)
    assert [(each.index, len(each.embedding)) for each in many.data] == [(0, 8), (1, 8)]
    tokens = embed(model=model, input=[1, 2, 3])
    assert (len(tokens.data), tokens.usage.prompt_tokens) == (1, 3)
    lists = embed(model=model, input=[[1, 2, 3], [4]], encoding_format="float")
    assert (len(lists.data), lists.usage.prompt_tokens) == (2, 4)
    assert lists.data[0].embedding == pytest.approx(tokens.data[0].embedding, abs=1e-6)


@pytest.mark.parametrize("wire", OPENAI_PATHS)
def test_a_text_is_continued(sdk: openai.OpenAI, wire: str) -> None:
    asked = {"model": f"{wire}/sim-echo", "prompt": "Once upon a time there was"}
    [choice] = sdk.completions.create(**asked, max_tokens=3).choices
    assert (choice.text, choice.finish_reason) == ("Once upon a ", "length")
    tokens = sdk.completions.create(model=f"{wire}/sim-echo", prompt=[7, 8, 9])
    assert tokens.choices[0].text == "3 tokens"


def test_documents_are_ordered(wires: Installation) -> None:
    asked = body("/rerank", top_n=2)
    answer = wires.http.post("/rerank", json=asked).json()
    assert [(each["index"], each["relevance_score"]) for each in answer["results"]] == [
        (1, 1.0),
        (2, 0.5),
    ]
    assert answer["results"][0]["document"] == {"text": "a red fox"}
    bare = wires.http.post("/rerank", json=asked | {"return_documents": False}).json()
    assert "document" not in bare["results"][0]
    answer = wires.http.post("/rerank", json=asked | {"return_documents": True}).json()
    assert answer["results"][0]["document"] == {"text": "a red fox"}


@pytest.mark.parametrize("wire", ["openai", "mistral"])
def test_content_is_moderated(sdk: openai.OpenAI, wire: str) -> None:
    checked = sdk.moderations.create(model=f"{wire}/sim", input=["a kind word", "no violence"])
    assert [each.flagged for each in checked.results] == [False, True]
    assert checked.results[1].categories.violence
    parts = [
        {"type": "text", "text": "hate"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]
    [result] = sdk.moderations.create(model=f"{wire}/sim", input=parts).results
    assert result.flagged


def test_lines_of_a_batch_may_moderate_listen_and_speak(wires: Installation) -> None:
    paths = ("/moderations", "/audio/transcriptions", "/audio/speech")
    requests = [
        {"custom_id": path, "url": f"/v1{path}", "method": "POST", "body": body(path)}
        for path in paths
    ]
    batch = wires.http.post("/batches", json={"requests": requests}).json()
    assert batching.ended(wires, batch["id"])["request_counts"]["completed"] == len(paths)
    lines = batching.results(wires, batch["id"])
    bodies = {path: lines[path]["response"]["body"] for path in paths}
    assert [each["flagged"] for each in bodies["/moderations"]["results"]] == [False, True]
    assert bodies["/audio/transcriptions"]["text"].startswith("The file is called audio.wav")
    spoken = wires.http.get(bodies["/audio/speech"]["url"])
    assert spoken.content.startswith(b"RIFF")


@pytest.mark.parametrize("wire", [*OPENAI_PATHS, "mistral"])
def test_sound_is_written_down(sdk: openai.OpenAI, wire: str) -> None:
    upload = ("talk.wav", io.BytesIO(SOUND), "audio/wav")
    asked = {"model": f"{wire}/sim", "file": upload}
    heard = sdk.audio.transcriptions.create(**asked)
    assert heard.text == f"The file is called audio.wav and has {len(SOUND)} bytes."
    UsageTokens.model_validate(heard.usage.model_dump())  # the SDK itself reads anything


def test_sound_is_written_down_as_the_caller_likes_it(sdk: openai.OpenAI) -> None:
    def heard(form: str, **more: Any) -> Any:
        upload = ("talk.wav", io.BytesIO(SOUND), "audio/wav")
        return sdk.audio.transcriptions.create(
            model="openai/sim", file=upload, response_format=form, **more
        )

    assert heard("text").startswith("The file is called audio.wav")
    told = heard("verbose_json", language="no", timestamp_granularities=["segment"])
    assert (told.language, told.segments[0].text) == ("no", told.text)


@pytest.mark.parametrize("name", ["talk", "", "talk.mp3"])
def test_a_sounds_type_is_told_by_its_name_or_its_header(wires: Installation, name: str) -> None:
    upload = {"file": (name or "blob", SOUND, "audio/mpeg")}
    answer = wires.http.post("/audio/transcriptions", data={"model": "openai/sim"}, files=upload)
    assert answer.json()["text"].startswith("The file is called audio.mp3 ")


def test_plain_text_through_json(wires: Installation) -> None:
    asked = body("/audio/transcriptions", response_format="text")
    answer = wires.http.post("/audio/transcriptions", json=asked)
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.strip() == f"The file is called audio.wav and has {len(SOUND)} bytes."


@pytest.mark.parametrize("wire", OPENAI_PATHS)
def test_text_is_spoken(sdk: openai.OpenAI, wire: str) -> None:
    asked = {"model": f"{wire}/sim", "voice": "alloy", "input": "Hello there"}
    with sdk.audio.speech.with_streaming_response.create(**asked) as streamed:
        assert streamed.headers["content-type"] == "audio/mpeg"
        whole = streamed.read()
    assert whole.startswith(b"RIFF")
    assert sdk.audio.speech.create(**asked).read() == whole
    samples = sdk.audio.speech.create(**asked, response_format="pcm").read()
    assert whole.endswith(samples)


UNSERVED = [
    *(("anthropic", path) for path in BODIES),
    *(("mistral", path) for path in ("/completions", "/images/generations", "/rerank")),
    *(("azure", path) for path in ("/rerank", "/moderations")),
    *((wire, path) for wire in GEMINI_LIKE for path in ("/audio/speech", "/completions")),
]


@pytest.mark.parametrize(("wire", "path"), UNSERVED)
def test_what_no_provider_of_the_model_serves_is_a_404(
    wires: Installation, wire: str, path: str
) -> None:
    answer = wires.http.post(path, json=body(path, wire))
    assert answer.status_code == 404, answer.text
    error = answer.json()["error"]
    assert f"/v1{path}" in error["message"]
    assert f"{wire}/sim" in error["message"]
    job = wires.http.post("/jobs", json={"endpoint": f"/v1{path}", "body": body(path, wire)})
    assert job.status_code == 404
    fallback = wires.http.post(path, json=body(path, wire, models=["openai/sim"]))
    assert fallback.status_code == 200
    assert wires.job(fallback.headers["x-job-id"])["provider"] == "openai"


BAD = [
    ("/embeddings", {"input": ""}, "input"),
    ("/embeddings", {"input": []}, "input"),
    ("/embeddings", {"input": ["one", 2]}, "input"),
    ("/embeddings", {"dimensions": 0}, "dimensions"),
    ("/embeddings", {"encoding_format": "int8"}, "encoding_format"),
    ("/images/generations", {"prompt": ""}, "prompt"),
    ("/images/generations", {"n": 11}, "n"),
    ("/images/generations", {"response_format": "png"}, "response_format"),
    ("/images/generations", {"stream": "yes"}, "stream"),
    ("/completions", {"prompt": None}, "prompt"),
    ("/completions", {"stream": "yes"}, "stream"),
    ("/completions", {"stream_options": {"include_usage": 1}}, "stream_options"),
    ("/rerank", {"query": None}, "query"),
    ("/rerank", {"documents": []}, "documents"),
    ("/rerank", {"top_n": 0}, "top_n"),
    ("/moderations", {"input": ""}, "input"),
    ("/moderations", {"input": [{"type": "text"}]}, "input.0.text"),
    ("/audio/transcriptions", {"input_audio": None}, "input_audio"),
    ("/audio/transcriptions", {"input_audio": {"data": "???"}}, "input_audio.data"),
    ("/audio/transcriptions", {"stream": "true"}, "stream"),
    ("/audio/speech", {"stream_format": "tape"}, "stream_format"),
    ("/audio/speech", {"input": "x" * 4097}, "input"),
    ("/audio/speech", {"voice": None}, "voice"),
    ("/audio/speech", {"speed": 9}, "speed"),
]


@pytest.mark.parametrize(("path", "wrong", "field"), BAD)
def test_a_wrong_field_is_named(
    wires: Installation, path: str, wrong: dict[str, Any], field: str
) -> None:
    answer = wires.http.post(path, json=body(path, **wrong))
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"].startswith(field)
    job = wires.http.post("/jobs", json={"endpoint": f"/v1{path}", "body": body(path, **wrong)})
    assert job.status_code == 400
    assert job.json()["param"].startswith(f"body.{field}")


def test_a_form_without_its_sound_is_refused(wires: Installation) -> None:
    empty = {"model": (None, "openai/sim")}
    answer = wires.http.post("/audio/transcriptions", files=empty)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "file"


def test_a_form_that_is_too_large_is_refused(wires: Installation) -> None:
    upload = {"file": ("talk.wav", bytes(10_000_001), "audio/wav")}
    answer = wires.http.post("/audio/transcriptions", data={"model": "openai/sim"}, files=upload)
    assert answer.status_code == 413
    assert answer.json()["error"]["param"] == "file"


@pytest.mark.parametrize("content", [b"nothing", b"--x\r\nno header\r\n\r\n"])
@pytest.mark.parametrize("boundary", ["", "; boundary=x"])
def test_a_form_that_is_none_is_refused(wires: Installation, content: bytes, boundary: str) -> None:
    headers = {"Content-Type": f"multipart/form-data{boundary}"}
    answer = wires.http.post("/audio/transcriptions", content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] in {"body", "file"}


@every_operation
def test_a_providers_refusal_is_told(wires: Installation, path: str) -> None:
    answer = wires.http.post(path, json=body(path) | {"model": "openai/sim-429-retry7"})
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "7"
    assert answer.json()["error"]["metadata"]["error_type"] == "rate_limit_exceeded"
    answer = wires.http.post(path, json=body(path) | {"model": "openai/sim-401"})
    assert (answer.status_code, answer.json()["error"]["metadata"]["provider_error_type"]) == (
        502,
        "authentication",
    )


def transcribe(sdk: openai.OpenAI, **more: Any) -> Any:
    return sdk.audio.transcriptions.create(model="openai/sim", file=("talk.wav", SOUND), **more)


def test_a_transcript_has_times_of_segments_and_of_words(sdk: openai.OpenAI) -> None:
    heard = transcribe(
        sdk, response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert [each.word for each in heard.words] == heard.text.split()
    assert heard.words[0].start == heard.segments[0].start == 0
    assert heard.words[-1].end == pytest.approx(heard.segments[-1].end, abs=0.01)
    assert heard.duration == 1.0
    only = transcribe(sdk, response_format="verbose_json", timestamp_granularities=["word"])
    assert (len(only.words), only.segments) == (len(heard.words), None)


def test_a_transcript_comes_in_every_form(sdk: openai.OpenAI) -> None:
    plain = transcribe(sdk).text
    assert transcribe(sdk, response_format="text") == f"{plain}\n"
    subtitles = f"00:00:00,000 --> 00:00:01,000\n{plain}\n"
    assert transcribe(sdk, response_format="srt") == f"1\n{subtitles}"
    assert transcribe(sdk, response_format="vtt") == f"WEBVTT\n\n{subtitles.replace(',', '.', 2)}"
