"""Translation of the events of a job to those of a streamed message."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from broker.completion import ErrorType, Json
from broker.dialects.base import DialectJob
from broker.dialects.errors import ApiError, build_messages_error
from broker.dialects.messages import WIRE
from broker.dialects.messages.answer import (
    read_called,
    render_citation,
    render_end,
    render_head,
    render_image,
    render_message,
    render_usage,
    shows_thinking,
)
from broker.dialects.messages.reasoning import (
    encode_details,
    find_opaque,
    is_of_anthropic,
    read_text,
)
from broker.enums import JobState
from broker.events import job_events
from broker.events.job_events import Event
from broker.ids import message_id
from broker.jobs.error_envelope import describe_job_failure
from broker.requests.native import read_native

_INTERRUPTED = (
    "The worker of this stream was stopped or lost. The job runs again from the start: "
    "GET /api/v1/messages/{id} returns its message."
)


@dataclass(slots=True)
class _OpenBlock:
    """The block that grows at present."""

    index: int
    kind: str
    key: Any = None  # the index of its reasoning detail or of its call


class MessageStream:
    """See `StreamTranslator`. The blocks follow each other; each is closed before the next."""

    def __init__(self, job: DialectJob) -> None:
        self.shown = False
        self.ended = False
        self._job = job
        self._shows_thinking = shows_thinking(job)
        self._events: list[Json] = []
        self._open: _OpenBlock | None = None
        self._count = 0  # of blocks
        self._calls: dict[int, int] = {}  # index of a call → of its block
        self._details: list[Json] = []  # of other vendors, for the signature
        self._choice: Json = {}  # how the answer ended
        self._refusal = ""
        self._last: Json = {}  # the chunk with the usage
        self._is_native = False  # the endpoint gives the citations in Anthropic's form

    def translate(self, event: Event) -> Sequence[Json]:
        self._events = []
        if self.ended:
            return ()
        if event.is_chunk:
            self._take_chunk(orjson.loads(event.data))
        elif event.type in (job_events.RETRYING, job_events.STARTED):
            if self.shown:
                metadata = {"error_type": ErrorType.STREAM_INTERRUPTED.value}
                self._fail(502, _INTERRUPTED.format(id=message_id(self._job.id)), metadata)
        elif event.type == JobState.COMPLETED:
            self._finish(orjson.loads(event.data))
        elif event.is_end:
            self._fail(*describe_job_failure(orjson.loads(event.data)))
        return self._events

    def _emit(self, type_: str, **fields: Any) -> None:
        self._events.append({"type": type_, **fields})

    def _begin(self, answer: Json) -> None:
        if self.shown:
            return
        self.shown = True
        head = render_head(self._job, answer)
        usage = render_usage({}, {})  # the counts are known at the end
        self._emit(
            "message_start",
            message={**head, "content": [], "stop_reason": None, "stop_sequence": None}
            | {"usage": usage},
        )

    def _take_chunk(self, chunk: Json) -> None:
        self._begin(chunk)
        if chunk.get("usage"):
            self._last = chunk
        for choice in chunk.get("choices") or ():
            native = read_native(choice, WIRE)
            for event in native.get("events") or ():
                self._take_native(event)
            self._take_delta(choice.get("delta") or {})
            if choice.get("finish_reason"):
                self._choice = choice

    def _take_native(self, event: Json) -> None:
        self._is_native = True
        match event["type"]:
            case "content_block_start":
                block = event["content_block"]
                is_call = block["type"] == "tool_use"
                self._start(
                    "call" if is_call else block["type"],
                    block,
                    block.get("id") if is_call else None,
                )
            case "content_block_delta":
                if event["delta"].get("type") == "citations_delta":
                    self._continue("text", {"type": "text", "text": ""})
                self._add(event["delta"])
            case "content_block_stop":
                self._close()

    def _take_delta(self, delta: Json) -> None:
        details: Sequence[Json] = delta.get("reasoning_details") or ()
        own = [each for each in details if is_of_anthropic(each)]
        for detail in own:
            self._take_thinking(detail)
        self._details += find_opaque([each for each in details if not is_of_anthropic(each)])
        if not own:
            self._take_reasoning(delta.get("reasoning") or "".join(map(read_text, details)))
        if text := delta.get("content"):
            self._continue("text", {"type": "text", "text": ""})
            self._add({"type": "text_delta", "text": text})
        if not self._is_native:
            for note in delta.get("annotations") or ():
                self._take_citation(render_citation(note))
        for image in delta.get("images") or ():
            if block := render_image(image):
                self._start("image", block)
        for call in delta.get("tool_calls") or ():
            self._take_call(call)
        self._refusal += delta.get("refusal") or ""

    def _take_thinking(self, detail: Json) -> None:
        """Continue a thinking block of Anthropic's models, which its details name by an index."""
        key = detail.get("index")
        if detail.get("type") == "reasoning.encrypted":
            self._start("redacted_thinking", _redacted(detail.get("data") or ""))
            return
        self._continue("thinking", _empty_thinking(), key)
        if (text := detail.get("text")) and self._shows_thinking:
            self._add({"type": "thinking_delta", "thinking": text})
        if signature := detail.get("signature"):
            self._add({"type": "signature_delta", "signature": signature})

    def _take_reasoning(self, text: str) -> None:
        if not text:
            return
        self._continue("thinking", _empty_thinking())
        if self._shows_thinking:
            self._add({"type": "thinking_delta", "thinking": text})

    def _take_citation(self, citation: Json | None) -> None:
        if citation is None:
            return
        self._continue("text", {"type": "text", "text": ""})
        self._add({"type": "citations_delta", "citation": citation})

    def _take_call(self, call: Json) -> None:
        name, arguments = read_called(call)
        key = call.get("index", len(self._calls))
        if key not in self._calls and self._is_open_call(call.get("id")):
            self._calls[key] = self._count - 1
        elif key not in self._calls:
            called: Json = {"id": call.get("id") or "", "name": name, "input": {}}
            self._start("tool_use", {"type": "tool_use", **called}, key)
            self._calls[key] = self._count - 1
        if arguments:
            delta = {"type": "input_json_delta", "partial_json": arguments}
            self._emit("content_block_delta", index=self._calls[key], delta=delta)

    def _is_open_call(self, call_id: Any) -> bool:
        """Return whether the open block is this call, begun in its native form."""
        return self._open is not None and (self._open.kind, self._open.key) == ("call", call_id)

    def _continue(self, kind: str, block: Json, key: Any = None) -> None:
        """Start a block, unless it is the open one."""
        if self._open is None or (self._open.kind, self._open.key) != (kind, key):
            self._start(kind, block, key)

    def _start(self, kind: str, block: Json, key: Any = None) -> None:
        self._close()
        if self._details and kind != "thinking":
            self._flush_details()
        self._open = _OpenBlock(self._count, kind, key)
        self._count += 1
        self._emit("content_block_start", index=self._open.index, content_block=block)

    def _add(self, delta: Json) -> None:
        if self._open is not None:
            self._emit("content_block_delta", index=self._open.index, delta=delta)

    def _close(self) -> None:
        if self._open is None:
            return
        if self._open.kind == "thinking" and self._details:
            signature = encode_details(self._details)
            self._details = []
            self._add({"type": "signature_delta", "signature": signature})
        self._emit("content_block_stop", index=self._open.index)
        self._open = None

    def _flush_details(self) -> None:
        """Send the details that came without thinking as a block of their own."""
        block = _redacted(encode_details(self._details))
        self._details = []
        self._start("redacted_thinking", block)
        self._close()

    def _finish(self, end: Json) -> None:
        if not self.shown and (answer := end.get("response")):
            self._replay(render_message(answer, self._job))
            return
        self._begin({})
        self._close()
        if self._details:
            self._flush_details()
        final = render_end(self._choice, self._refusal or None)
        self._end(final, render_usage(self._last, self._choice))

    def _replay(self, message: Json) -> None:
        """Send a whole message, of a job without chunks."""
        self._begin(message)
        for block in message["content"]:
            self._start(block["type"], _STARTS.get(block["type"], _keep)(block))
            for delta in _DELTAS.get(block["type"], _no_deltas)(block):
                self._add(delta)
        self._close()
        names = ("stop_reason", "stop_sequence", "stop_details", "container")
        self._end({name: message[name] for name in names if name in message}, message["usage"])

    def _end(self, final: Json, usage: Json) -> None:
        management = final.pop("context_management", None)
        more = {} if management is None else {"context_management": management}
        self._emit("message_delta", delta=final, usage=usage, **more)
        self._emit("message_stop")
        self.ended = True

    def _fail(self, status: int, message: str, metadata: Json) -> None:
        error = ApiError(status, message, metadata | {"job_id": self._job.id})
        self._events.append(build_messages_error(error))
        self.ended = True


def _empty_thinking() -> Json:
    return {"type": "thinking", "thinking": "", "signature": ""}


def _redacted(data: str) -> Json:
    return {"type": "redacted_thinking", "data": data}


def _keep(block: Json) -> Json:
    return block


def _no_deltas(_: Json) -> Sequence[Json]:
    return ()


_STARTS: dict[str, Callable[[Json], Json]] = {
    "text": lambda _: {"type": "text", "text": ""},
    "thinking": lambda _: _empty_thinking(),
    "tool_use": lambda block: block | {"input": {}},
}
_DELTAS: dict[str, Callable[[Json], Sequence[Json]]] = {
    "text": lambda block: [
        {"type": "text_delta", "text": block["text"]},
        *({"type": "citations_delta", "citation": each} for each in block.get("citations") or ()),
    ],
    "thinking": lambda block: [
        {"type": "thinking_delta", "thinking": block["thinking"]},
        {"type": "signature_delta", "signature": block["signature"]},
    ],
    "tool_use": lambda block: [
        {"type": "input_json_delta", "partial_json": orjson.dumps(block["input"]).decode()}
    ],
}
