"""One candidate of a Gemini answer: its parts in, deltas of OpenAI's shape out.

Sources: ai.google.dev/api/generate-content#candidate (finish reasons), ai.google.dev/api/caching
#Part. A whole answer is read as a stream of one chunk.
"""

from hashlib import blake2b
from typing import Any

import orjson

from broker.completion import Json
from workers.adapters.finish_reasons import finish_reason
from workers.adapters.gemini.grounding import queries, read_annotations
from workers.adapters.gemini.logprobs import read_logprobs
from workers.adapters.gemini.messages import FORMAT
from workers.adapters.json_shapes import word
from workers.adapters.tool_calls import made_up_id


class Candidate:
    """Reads one candidate; `finished` says whether its finish reason has come."""

    __slots__ = ("_calls", "_details", "_hidden", "_ids", "_last", "_reason", "_seed", "_texts",
                 "_thinking", "finished", "index", "queries")  # fmt: skip

    def __init__(self, index: int, seed: str, *, hidden: bool) -> None:
        self.index = index
        self.finished = False
        self.queries: set[str] = set()  # what the model has searched the web for
        self._seed = f"{seed}/{index}"
        self._hidden = hidden  # whether thoughts are kept from the caller
        self._reason: str | None = None
        self._texts: list[str] = []
        self._ids: set[str] = set()
        self._calls = 0
        self._details = 0  # reasoning details that are begun
        self._thinking = False  # whether the last part was a thought, which the next continues
        self._last: Json = {}  # the latest candidate object with sources

    def feed(self, candidate: Json) -> Json:
        """Return what a chunk's candidate adds; an empty delta where it adds nothing."""
        if reason := word(candidate, "finishReason"):
            self._reason, self.finished = reason, True
        if candidate.get("groundingMetadata") or candidate.get("citationMetadata"):
            self._last = candidate
            self.queries |= queries(candidate.get("groundingMetadata"))
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        delta: Json = {}
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                self._read(part, delta)
        return delta

    def finish(self) -> tuple[Json, Json]:
        """Return the last delta, which holds the sources, and the finish reasons."""
        notes = read_annotations(self._last, "".join(self._texts))
        reasons = {
            "finish_reason": finish_reason(self._reason, called=self._calls > 0),
            "native_finish_reason": self._reason,
        }
        return ({"annotations": notes} if notes else {}), reasons

    def _read(self, part: Json, delta: Json) -> None:
        text, signature = word(part, "text"), word(part, "thoughtSignature")
        call_id = None
        if part.get("thought") is True:
            if text and not self._hidden:
                self._think(text, delta)
            return
        if isinstance(call := part.get("functionCall"), dict):
            call_id = self._call(call, signature, delta)
        elif isinstance(data := part.get("inlineData"), dict):
            _attach(data, delta)
        elif text:
            self._texts.append(text)
            delta["content"] = delta.get("content", "") + text
        kept = call_id or "text" in part or "inlineData" in part
        if signature and kept:  # parts of Google's own tools are not told, so cannot come back
            self._sign(signature, call_id, delta)
        self._thinking = False

    def _think(self, text: str, delta: Json) -> None:
        delta["reasoning"] = delta.get("reasoning", "") + text
        details = delta.setdefault("reasoning_details", [])
        if not self._thinking:
            self._thinking = True
            self._details += 1
        index = self._details - 1
        if details and details[-1]["index"] == index:
            details[-1]["text"] += text
        else:
            detail = {"type": "reasoning.text", "text": text, "format": FORMAT, "index": index}
            details.append(detail)

    def _sign(self, signature: str, call_id: str | None, delta: Json) -> None:
        detail: Json = {"type": "reasoning.encrypted", "data": signature, "format": FORMAT}
        detail |= {"id": call_id} if call_id else {}
        delta.setdefault("reasoning_details", []).append(detail | {"index": self._details})
        self._details += 1

    def _call(self, call: Json, signature: str | None, delta: Json) -> str:
        name, call_id = word(call, "name") or "", word(call, "id")
        if not call_id or call_id in self._ids:
            call_id = made_up_id(self._seed, self._calls, name)
        self._ids.add(call_id)
        arguments = orjson.dumps(call.get("args") or {}).decode()
        told: Json = {
            "index": self._calls,
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }
        if signature:
            told["extra_content"] = {"google": {"thought_signature": signature}}
        delta.setdefault("tool_calls", []).append(told)
        self._calls += 1
        return call_id


def with_logprobs(choice: Json, candidate: Json) -> Json:
    """Return the choice with the log probabilities its candidate states."""
    logprobs = read_logprobs(candidate.get("logprobsResult"))
    return {**choice, "logprobs": logprobs} if logprobs else choice


def _attach(inline: Json, delta: Json) -> None:
    """Add generated media: images in OpenRouter's shape, audio in OpenAI's."""
    data, mime = inline.get("data"), word(inline, "mimeType") or ""
    if not isinstance(data, str):
        return
    if mime.startswith("audio/"):
        audio_id = f"audio_{blake2b(data.encode(), digest_size=12).hexdigest()}"
        audio: Json = {"id": audio_id, "data": data, "transcript": "", "expires_at": 0}
        delta["audio"] = audio | {"format": mime}
        return
    image: Any = {"url": f"data:{mime or 'image/png'};base64,{data}"}
    delta.setdefault("images", []).append({"type": "image_url", "image_url": image})
