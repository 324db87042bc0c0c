"""Options in a model name: `sim` and words after dashes in any order, `sim-tok50-lat200`."""

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final


class Style(StrEnum):
    """The content of an answer."""

    PLAIN = "plain"
    ECHO = "echo"  # the last user message
    WORDS = "words"  # the number of its words
    STORY = "story"  # a canned paragraph
    JSON = "json"  # an object that fits the requested schema
    JUDGE = "judge"  # the verdict of a judge: see `judgements`
    JUDGE_FIRST = "judgefirst"  # a judge that prefers the first of two answers
    NULL = "null"  # neither text nor a tool call


class Fault(StrEnum):
    """A fault of every call."""

    RATE_LIMITED = "429"
    SERVER_ERROR = "500"
    OVERLOADED = "503"
    OVERLOADED_529 = "529"  # Anthropic's status
    UNAUTHORIZED = "401"
    BAD_REQUEST = "400"
    CONTEXT = "context"  # 400 context_length_exceeded
    RESET = "reset"  # connection reset before any answer byte
    STALL = "stall"  # silence until the client goes
    FREEZE = "freeze"  # half an answer, then silence until the client goes
    CUT = "cut"  # half an answer, then the connection is closed
    GARBAGE = "garbage"  # 200 with HTML
    HALF = "half"  # 200 with half a document that ends cleanly
    HUGE = "huge"  # 200 with 100 MB
    ERROR_IN_STREAM = "errstream"  # an error object inside a 200


class BatchFate(StrEnum):
    """The outcome of a whole batch."""

    EXPIRE = "batchexpire"  # half of its lines are not run in time
    DROP = "batchdrop"  # accepted, but the connection is reset before the answer
    LOSE = "batchlose"  # the connection is reset, and nothing was accepted
    MUTE = "batchmute"  # accepted, without an answer until the client goes
    NO_FILE = "batchnofile"  # it completes, and never names its files of results
    QUOTA = "batchquota"  # the first one fails: too many tokens wait already


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The parsed options of a model name."""

    style: Style = Style.PLAIN
    fault: Fault | None = None
    latency_ms: int = 0  # before the first byte
    chunk_ms: int = 0  # between the chunks of a stream
    tokens: int | None = None  # exact length of the answer
    retry_after: int | None = None  # seconds, on 429, 503 and 529
    tool_calls: int = 0  # number of offered tools to call
    flaky_percent: int = 0
    fail_first: int = 0  # calls with the same body that fail before one works
    reasoning: bool = False
    image: bool = False  # answer with images where requested
    usage: bool = True
    batch_ms: int = 0  # until a batch ends
    batch_fail_percent: int = 0  # of its lines
    batch_fate: BatchFate | None = None


class UnknownModelError(Exception):
    """The name is not `sim`, or has an option that does not exist or contradicts another."""


OPTION: Final = re.compile(r"([a-z]+)([0-9]{1,6})?")
NUMBERED: Final = {
    "lat": "latency_ms",
    "chunk": "chunk_ms",
    "tok": "tokens",
    "retry": "retry_after",
    "tools": "tool_calls",
    "flaky": "flaky_percent",
    "fail": "fail_first",
    "batchlat": "batch_ms",
    "batchfail": "batch_fail_percent",
}
DEFAULT_NUMBERS: Final = {"tools": 1}  # `sim-tools` calls one tool, `sim-tools2` two
FLAGS: Final[dict[str, tuple[str, Any]]] = {
    **{style.value: ("style", style) for style in Style},
    **{fault.value: ("fault", fault) for fault in Fault},
    **{fate.value: ("batch_fate", fate) for fate in BatchFate},
    "reason": ("reasoning", True),
    "image": ("image", True),
    "nousage": ("usage", False),
}

LISTED: Final = (
    "sim",
    "sim-echo",
    "sim-words",
    "sim-story",
    "sim-tools",
    "sim-json",
    "sim-reason",
    "sim-image",
    "sim-lat250",
    "sim-story-chunk20",
    "sim-tok50",
    "sim-flaky30",
    "sim-fail2",
    *(f"sim-{fault}" for fault in Fault),
)


@lru_cache(maxsize=4096)
def parse(model: str) -> Behaviour:
    """Return the behaviour that a model name requests. Raises UnknownModelError."""
    name, *options = model.split("-")
    if name != "sim":
        raise UnknownModelError(f"The model `{model}` does not exist: only `sim-…` is served here")
    behaviour = Behaviour()
    seen: set[str] = set()
    for option in options:
        field, value = _setting(model, option)
        if field in seen:
            raise UnknownModelError(f"The model `{model}` sets its {field} twice")
        seen.add(field)
        behaviour = replace(behaviour, **{field: value})
    return behaviour


def _setting(model: str, option: str) -> tuple[str, Any]:
    if option in FLAGS:
        return FLAGS[option]
    match = OPTION.fullmatch(option)
    if match and match[1] in NUMBERED:
        number = int(match[2]) if match[2] else DEFAULT_NUMBERS.get(match[1])
        if number is not None:
            return NUMBERED[match[1]], number
    raise UnknownModelError(f"The model `{model}` does not exist: no option `{option}`")
