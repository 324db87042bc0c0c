"""The error envelope of OpenAI, which all its endpoints share."""

from typing import Final

import orjson

from workers.simulator.requests import ErrorReply, Json, RefusalKind
from workers.simulator.wire import Wire

ERRORS: Final[dict[RefusalKind, tuple[str, str | None, str | None]]] = {
    # kind: type, param, code
    "rate_limited": ("requests", None, "rate_limit_exceeded"),
    "server_error": ("server_error", None, None),
    "overloaded": ("service_unavailable_error", None, "overloaded"),
    "unauthorized": ("invalid_request_error", None, "invalid_api_key"),
    "bad_request": ("invalid_request_error", "messages", None),
    "context_length": ("invalid_request_error", "messages", "context_length_exceeded"),
    "unknown_model": ("invalid_request_error", "model", "model_not_found"),
}


class OpenAIWire(Wire):
    """A wire that says errors as OpenAI does."""

    def refuse(self, refusal: ErrorReply) -> bytes:
        return orjson.dumps(envelope(refusal))

    def error_event(self, refusal: ErrorReply) -> bytes:
        return event(envelope(refusal))


def envelope(refusal: ErrorReply) -> Json:
    kind, param, code = ERRORS[refusal.kind]
    return {"error": {"message": refusal.message, "type": kind, "param": param, "code": code}}


def event(data: Json) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(data)
