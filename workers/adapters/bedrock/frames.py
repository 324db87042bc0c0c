"""AWS's binary event stream, decoded by botocore (`application/vnd.amazon.eventstream`).

Rules: Smithy, "Amazon Event Stream Specification": a message is an event, an exception the service
models, or an error it does not.
"""

import orjson
from botocore.eventstream import EventStreamBuffer, EventStreamMessage, ParserError

from broker.completion import Json
from workers.adapters import lenient_json
from workers.adapters.base import MalformedAnswerError, ProviderFailureError
from workers.adapters.errors import reported
from workers.adapters.framing import Framing
from workers.adapters.sse import BOM, ServerSentEvent

FAILURE = ":failure"

_STATUS = {
    "accessDeniedException": 403,
    "internalServerException": 500,
    "modelErrorException": 424,
    "modelNotReadyException": 429,
    "modelStreamErrorException": 424,
    "modelTimeoutException": 408,
    "resourceNotFoundException": 404,
    "serviceQuotaExceededException": 400,
    "serviceUnavailableException": 503,
    "throttlingException": 429,
    "validationException": 400,
}
"""The HTTP statuses of Bedrock's exceptions (API_runtime_ConverseStream, "Errors")."""


class EventStreamFraming(Framing):
    """A `Framing` for event streams; a JSON document in a stream's place is still told by its `{`.

    An event is named by its type. Failures keep their place among the events, under `FAILURE`.
    """

    __slots__ = ("_buffer", "_is_json")

    def __init__(self) -> None:
        super().__init__()
        self._buffer = EventStreamBuffer()
        self._is_json: bool | None = None

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Return the events completed by `data`. Raises MalformedAnswerError for other bytes."""
        if self._is_json is None and data:
            self._is_json = data[:1] in (b"{", b"[", BOM[:1])
        if self._is_json:
            return super().feed(data)
        self._buffer.add_data(data)
        events: list[ServerSentEvent] = []
        try:
            for message in self._buffer:
                events.append(_event(message))  # noqa: PERF401  # those before broken bytes count
        except ParserError as error:
            if not events:
                raise MalformedAnswerError(f"the event stream is broken: {error}") from None
        return events


def failure_of(event: ServerSentEvent) -> ProviderFailureError:
    """Return the failure a `FAILURE` event reports."""
    error = orjson.loads(event.data)
    return ProviderFailureError(reported(error, _STATUS.get(error["type"])))


def _event(message: EventStreamMessage) -> ServerSentEvent:
    headers = message.headers
    kind = headers.get(":message-type", "event")
    if kind == "event":
        return ServerSentEvent(message.payload, str(headers.get(":event-type", "")))
    name = str(headers.get(":exception-type") or headers.get(":error-code") or kind)
    return ServerSentEvent(orjson.dumps(_report(name, headers, message.payload)), FAILURE)


def _report(name: str, headers: Json, payload: bytes) -> Json:
    try:
        said = lenient_json.loads(payload)
    except ValueError:
        said = None
    said = said if isinstance(said, dict) else {}
    stated = (headers.get(":error-message"), said.get("message"), said.get("Message"))
    message = next((text for text in stated if isinstance(text, str) and text), name)
    return {**said, "message": message, "type": name[:1].lower() + name[1:]}
