"""Errors as Anthropic says them."""

from typing import Final
from uuid import uuid4

from workers.simulator.requests import ErrorReply, Json, RefusalKind

OVERLOADED: Final = 529
TYPES: Final[dict[RefusalKind, str]] = {
    "rate_limited": "rate_limit_error",
    "server_error": "api_error",
    "overloaded": "overloaded_error",
    "unauthorized": "authentication_error",
    "bad_request": "invalid_request_error",
    "context_length": "invalid_request_error",
    "unknown_model": "not_found_error",
}
WORDS: Final[dict[RefusalKind, str]] = {  # where Anthropic has words of its own
    "rate_limited": "This request would exceed your organization's rate limit",
    "server_error": "Internal server error: the simulator had an error",
    "overloaded": "Overloaded",
    "unauthorized": "invalid x-api-key",
    "context_length": "prompt is too long: 9001 tokens > 8192 maximum",
}


def envelope(refusal: ErrorReply) -> Json:
    words = WORDS.get(refusal.kind, refusal.message)
    return {
        "type": "error",
        "error": {"type": TYPES[refusal.kind], "message": words},
        "request_id": f"req_{uuid4().hex}",
    }
