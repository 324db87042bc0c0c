"""Read recordings without the code of the adapters.

One module per `api` of the recordings (`openai-chat` -> `openai_chat.py`) with one function:
`expected(exchange) -> Expected`. Keep it as naive as the format allows: an oracle that shares an
adapter's cleverness shares its mistakes.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Said:
    """One choice, folded."""

    content: str = ""  # null and "" are the same to this comparison
    reasoning: str = ""
    calls: tuple[tuple[str, Any], ...] = ()  # (name, parsed arguments)
    finish: str = "stop"


@dataclass(frozen=True)
class Counts:
    """Usage as OpenAI counts it; None where the recording does not say."""

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None
    reasoning: int | None = None
    cost_nanos: int | None = None


@dataclass(frozen=True)
class Expected:
    choices: tuple[Said, ...] = ()
    counts: Counts | None = None
    failure: bool = False  # the answer reports a failure inside its 2xx
    unfinished: bool = False  # the stream ends without saying why
    call_ids: tuple[str, ...] = field(default=())  # ids the recording gives, in order
