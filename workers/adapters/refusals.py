"""Refusals of requests that a wire or vendor cannot carry out as they were asked.

What would change the answer if it were left out is refused by its name, before anything is sent.
"""

from typing import Any, NoReturn

from broker.completion import AttemptOutcome, ErrorType, Failure, Json
from workers.adapters.base import ProviderFailureError

_RARE_FORMATS = ("grammar", "python")
"""OpenRouter's response formats that few vendors know."""


def refuse(field: str, why: str) -> NoReturn:
    """Raise the failure of a request whose field cannot be sent."""
    failure = Failure(AttemptOutcome.NOT_SENT, ErrorType.INVALID_REQUEST, f"{field}: {why}")
    raise ProviderFailureError(failure)


def refuse_rare_formats(body: Json) -> None:
    """Raise for a response format that the provider has no form for."""
    wanted = body.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type") in _RARE_FORMATS:
        refuse(
            "response_format.type",
            f"the provider knows no {wanted['type']!r}. Ask for `json_schema`, or choose another "
            "model.",
        )


def stop_words(body: Json, most: int | None = None) -> list[str]:
    """Return the stop sequences of a body, at most `most`. Raises where there are more."""
    given: Any = body.get("stop")
    words = [word for word in (given if isinstance(given, list) else [given]) if word]
    if most is not None and len(words) > most:
        refuse(
            "stop",
            f"the provider takes {most} stop sequences at most, and there are {len(words)}. Send "
            "fewer, or choose another model.",
        )
    return words
