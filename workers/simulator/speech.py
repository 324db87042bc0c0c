"""POST /v1/audio/speech."""

from typing import Final

from workers.simulator.bodies import required_text
from workers.simulator.operation import Operation
from workers.simulator.replies import count_tokens
from workers.simulator.requests import Json, Reply, Request, invalid
from workers.simulator.sounds import samples, wav
from workers.simulator.wire import Head

WAV: Final = b"audio/wav"
PCM: Final = b"audio/pcm"
LONGEST: Final = 4096  # characters


class Speech(Operation):
    """A tone as long as the text: bare samples where `pcm` is asked for, else a WAV file."""

    def understand(self, call: Json, head: Head) -> Request:
        del head
        text = required_text(call, "input")
        if len(text) > LONGEST:
            raise invalid(f"Invalid value for 'input': at most {LONGEST} characters can be said")
        if not call.get("voice"):
            raise invalid("Missing required parameter: 'voice'")
        content = PCM if call.get("response_format") == "pcm" else WAV
        return Request(call["model"], text=text, tokens=count_tokens(text), detail=content)

    def content(self, request: Request) -> bytes:
        content: bytes = request.detail
        return content

    def answer(self, request: Request, reply: Reply) -> bytes:
        del reply
        return samples(request.text) if request.detail == PCM else wav(request.text)
