"""The form that a sound travels in: what a caller writes into it stays where it was written."""

import base64

import pytest

from broker.completion import CompletionRequest
from broker.errors import InvalidRequestError
from broker.requests.bodies import SCHEMAS, validated
from broker.requests.operations import Operation
from workers.adapters.base import Upstream
from workers.operations.audio import OpenAiTranscriptions

UPSTREAM = Upstream("openai", "https://api.openai.com/v1", "key")
QUOTED = {'x"; name="model': "dear", 'x"\r\nContent-Type: text/html\r\n\r\n': "<b>"}


def form(sound_format="wav", **fields):
    sound = {"data": base64.b64encode(b"sound").decode(), "format": sound_format}
    body = {"input_audio": sound, **fields}
    return OpenAiTranscriptions().build_request(CompletionRequest(body, "whisper-1"), UPSTREAM).body


def heads(body):
    """The header lines of each part."""
    boundary = body.partition(b"\r\n")[0]
    parts = body.split(boundary)[1:-1]
    return [part.partition(b"\r\n\r\n")[0].strip().split(b"\r\n") for part in parts]


def test_fields_and_the_sound_have_parts_of_their_own():
    body = form(language="no", timestamp_granularities=["word", "segment"])
    assert [head[0].partition(b"name=")[2] for head in heads(body)] == [
        b'"language"',
        b'"timestamp_granularities[]"',
        b'"timestamp_granularities[]"',
        b'"model"',
        b'"file"; filename="audio.wav"',
    ]
    assert b"\r\n\r\nsound\r\n--" in body


@pytest.mark.parametrize("name", QUOTED)
def test_a_fields_name_cannot_leave_its_quotes(name):
    first, *_ = heads(form(**{name: QUOTED[name]}))
    assert len(first) == 1
    assert first[0].count(b'"') == 2


@pytest.mark.parametrize("name", QUOTED)
def test_a_sounds_format_cannot_leave_its_quotes(name):
    *_, last = heads(form(sound_format=name))
    assert len(last) == 2
    assert last[0].count(b'"') == 4


@pytest.mark.parametrize(
    "data",
    [
        "c291bmQ=",
        "c291bmQ",
        "c291\nbmQ=",
        "data:audio/mpeg;base64,c291bmQ=",
        "DATA:audio/mpeg,sound",
    ],
)
def test_the_sound_may_be_written_in_any_spelling_of_base64_or_as_a_data_uri(data):
    sound = {"input_audio": {"data": data}}
    validated(SCHEMAS[Operation.TRANSCRIPTIONS], sound)
    built = (
        OpenAiTranscriptions().build_request(CompletionRequest(sound, "whisper-1"), UPSTREAM).body
    )
    assert b"\r\n\r\nsound\r\n--" in built
    name = b"audio.mp3" if "audio" in data.lower() else b"audio.wav"
    assert name in built


def test_a_sound_that_cannot_be_read_is_refused_by_name():
    with pytest.raises(InvalidRequestError, match=r"input_audio\.data: not base64"):
        validated(SCHEMAS[Operation.TRANSCRIPTIONS], {"input_audio": {"data": "!!!"}})
