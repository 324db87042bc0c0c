"""The states, limits and options of batches. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum

from broker.completion import Json
from broker.enums import BatchState, Dialect, StopReason
from broker.errors import InvalidRequestError
from broker.requests.operations import Operation

MAX_LINES = 50_000
MAX_BYTES = 200_000_000
MAX_CUSTOM_ID = 512
SHORTEST_WINDOW_MS, LONGEST_WINDOW_MS = 15 * 60_000, 7 * 86_400_000
WINDOW = re.compile(r"(\d{1,5})(m|h|d)")
UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}

OPERATIONS = (
    Operation.CHAT,
    Operation.COMPLETIONS,
    Operation.EMBEDDINGS,
    Operation.IMAGES,
    Operation.IMAGE_EDITS,
    Operation.IMAGE_VARIATIONS,
    Operation.RERANK,
    Operation.MODERATIONS,
    Operation.TRANSCRIPTIONS,
    Operation.SPEECH,
)
"""The operations that a line may request."""

DIALECT_PATHS = {"/v1/responses": Dialect.RESPONSES, "/v1/messages": Dialect.MESSAGES}
"""Paths of chats in another dialect, which a line may request."""


OPEN = (
    BatchState.VALIDATING,
    BatchState.IN_PROGRESS,
    BatchState.FINALIZING,
    BatchState.CANCELLING,
)
ENDED = tuple(state for state in BatchState if state not in OPEN)


_STOPPED = {
    StopReason.CANCELLED: ": the batch was cancelled",
    StopReason.EXPIRED: " before the completion window closed",
    StopReason.MAX_COST: ": it might have passed the batch's max_cost",
    StopReason.CREDITS: ": the credits, or a limit, do not cover it",
    StopReason.ON_ERROR: ": another line failed, and on_error is stop",
    StopReason.INPUT_LOST: ": the input file is gone",
}


def line_stop_message(reason: StopReason) -> str:
    """Return the error message of a line that was not run; its code is `batch_<reason>`."""
    return f"This request was not run{_STOPPED[reason]}."


def batch_stop_message(reason: StopReason) -> str:
    """Return the message of the batch's error."""
    return f"The batch stopped{_STOPPED[reason]}."


class Wait(StrEnum):
    """The reasons why no line becomes a job at present, besides lasting ones (`StopReason`)."""

    LIMITS = "rate_limit"


class OnError(StrEnum):
    """The reaction of a batch to a failed line: continue, or start no further lines."""

    CONTINUE = "continue"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a batch for its lines. Stored as JSON in `batches.options`."""

    metadata: Json | None = None
    on_error: OnError = OnError.CONTINUE
    dedupe: bool = False
    service_tier: str | None = None  # for lines that name none
    model: str | None = None  # for lines that name none
    provider: Json | None = None  # routing preferences, for lines that name none
    output_expires_seconds: int | None = None
    cache_ttl_seconds: int | None = None  # earlier answers are used for so long; None: never


def window_ms(text: str) -> int:
    """Read a completion window, e.g. `30m`, `24h`, `7d`. Raises for one out of bounds."""
    match = WINDOW.fullmatch(text)
    length = int(match[1]) * UNIT_MS[match[2]] if match else 0
    if not SHORTEST_WINDOW_MS <= length <= LONGEST_WINDOW_MS:
        raise InvalidRequestError(
            f"completion_window: {text!r} is not between 15m and 7d (write e.g. 30m, 24h, 2d).",
            param="completion_window",
        )
    return length
