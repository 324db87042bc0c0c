"""Chats that answer with sound (`modalities: ["text", "audio"]`), whole and streamed."""

import base64
import io
import wave
from typing import Any

import openai
import pytest

from tests.installation import Installation

ASKED: dict[str, Any] = {
    "model": "openai/speaks",
    "messages": [{"role": "user", "content": "Say hello to the harbour."}],
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
}


def seconds(data: str) -> float:
    with wave.open(io.BytesIO(base64.b64decode(data, validate=True))) as sound:
        return sound.getnframes() / sound.getframerate()


def test_a_whole_answer_has_sound_and_its_transcript(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(**ASKED)
    spoken = answer.choices[0].message.audio
    assert seconds(spoken.data) > 0.5
    assert "hello" in spoken.transcript.lower()
    assert answer.usage.completion_tokens_details.audio_tokens > 0
    assert answer.usage.cost == pytest.approx(
        (answer.usage.prompt_tokens * 3 + answer.usage.completion_tokens * 60) / 1e6
    )


def test_a_streamed_answer_is_stored_as_one_sound(wires: Installation, sdk: openai.OpenAI) -> None:
    raw = sdk.chat.completions.with_raw_response.create(**ASKED, stream=True)
    deltas = [choice.delta for chunk in raw.parse() for choice in chunk.choices]
    found = [each.model_dump().get("audio") for each in deltas]
    parts = [each for each in found if each]
    pieces = [each["data"] for each in parts if each.get("data")]
    assert len(pieces) > 1
    sound = b"".join(map(base64.b64decode, pieces))
    transcript = "".join(each.get("transcript") or "" for each in parts)
    job = wires.await_job(raw.headers["x-job-id"])
    stored = job["response"]["choices"][0]["message"]["audio"]
    assert base64.b64decode(stored["data"], validate=True) == sound
    assert (stored["transcript"], stored["id"]) == (transcript, "audio_1")
    assert job["response"]["usage"]["completion_tokens_details"]["audio_tokens"] > 0
