"""Errors as Google says them: `google.rpc.Status`."""

from typing import Any, Final

from workers.simulator.requests import ErrorReply, Json, RefusalKind

TYPE: Final = "type.googleapis.com/google.rpc."
STATUSES: Final[dict[RefusalKind, tuple[int, str]]] = {
    "rate_limited": (429, "RESOURCE_EXHAUSTED"),
    "server_error": (500, "INTERNAL"),
    "overloaded": (503, "UNAVAILABLE"),
    "unauthorized": (400, "INVALID_ARGUMENT"),
    "bad_request": (400, "INVALID_ARGUMENT"),
    "context_length": (400, "INVALID_ARGUMENT"),
    "unknown_model": (404, "NOT_FOUND"),
}
VERTEX_UNAUTHORIZED: Final = (401, "UNAUTHENTICATED")
WORDS: Final[dict[RefusalKind, str]] = {  # where Google has words of its own
    "rate_limited": "You exceeded your current quota, please check your plan and billing details.",
    "server_error": "An internal error has occurred: the simulator had an error.",
    "overloaded": "The model is overloaded. Please try again later.",
    "unauthorized": "API key not valid. Please pass a valid API key.",
    "context_length": (
        "The input token count (9001) exceeds the maximum number of tokens allowed (8192)."
    ),
}


def status(refusal: ErrorReply, *, vertex: bool) -> tuple[int, str]:
    """Return the number and the name; a wrong key is 400 at AI Studio and 401 at Vertex AI."""
    if vertex and refusal.kind == "unauthorized":
        return VERTEX_UNAUTHORIZED
    return STATUSES[refusal.kind]


def envelope(refusal: ErrorReply, *, vertex: bool) -> Json:
    code, name = status(refusal, vertex=vertex)
    words = WORDS.get(refusal.kind, refusal.message)
    if refusal.retry_after is not None:
        words = f"{words}\nPlease retry in {refusal.retry_after}.5s."
    error: dict[str, Any] = {"code": code, "message": words, "status": name}
    if details := _details(refusal, vertex=vertex):
        error["details"] = details
    return {"error": error}


def _details(refusal: ErrorReply, *, vertex: bool) -> list[Json]:
    details: list[Json] = []
    if refusal.kind == "unauthorized":
        reason = "CREDENTIALS_MISSING" if vertex else "API_KEY_INVALID"
        details.append({"@type": f"{TYPE}ErrorInfo", "reason": reason, "domain": "googleapis.com"})
    if refusal.kind == "rate_limited":
        violation = {"quotaMetric": "simulator.example/generate_content_requests"}
        details.append({"@type": f"{TYPE}QuotaFailure", "violations": [violation]})
    if refusal.retry_after is not None:
        delay = f"{refusal.retry_after}s"
        details.append({"@type": f"{TYPE}RetryInfo", "retryDelay": delay})
    return details
