"""Reading of one candidate: its parts, citations and log probabilities in OpenAI's shape."""

from hashlib import blake2b
from typing import Any

import orjson

from broker.completion import Json
from workers.adapters.choices import finish_reason
from workers.adapters.gemini.messages import FORMAT
from workers.adapters.json_shapes import text_field
from workers.adapters.tool_calls import generate_id


def read_annotations(candidate: Json, text: str) -> list[Json]:
    """Return the annotations of a candidate, whose whole text is `text`."""
    return _grounding(candidate.get("groundingMetadata"), text) + _citations(candidate)


def read_queries(metadata: Any) -> set[str]:
    """Return the search queries of a grounding. Sources without a query count as one."""
    if not isinstance(metadata, dict):
        return set()
    listed = metadata.get("webSearchQueries")
    queries = {each for each in listed if isinstance(each, str) and each} if listed else set()
    sources = _objects(metadata.get("groundingChunks"))
    return queries or ({""} if any("web" in each or "maps" in each for each in sources) else set())


def _grounding(metadata: Any, text: str) -> list[Json]:
    if not isinstance(metadata, dict):
        return []
    chunks = [_source(chunk) for chunk in _objects(metadata.get("groundingChunks"))]
    notes: list[Json] = []
    for support in _objects(metadata.get("groundingSupports")):
        segment = support.get("segment")
        span = _locate(segment if isinstance(segment, dict) else {}, text)
        indices = support.get("groundingChunkIndices")
        for index in indices if isinstance(indices, list) else ():
            source = chunks[index] if isinstance(index, int) and index < len(chunks) else None
            if source:
                notes.append(_annotation({**source, **span}))
    if not notes:
        notes = [_annotation({**c, "start_index": 0, "end_index": 0}) for c in chunks if c]
    return notes


def _source(chunk: Json) -> Json | None:
    for kind in ("web", "retrievedContext", "maps"):
        held = chunk.get(kind)
        if isinstance(held, dict) and isinstance(uri := held.get("uri"), str) and uri:
            return {"url": uri, "title": held.get("title") or uri}
    return None


def _locate(segment: Json, text: str) -> Json:
    quoted = segment.get("text")
    if isinstance(quoted, str) and quoted and (start := text.find(quoted)) >= 0:
        return {"start_index": start, "end_index": start + len(quoted), "content": quoted}
    data = text.encode()
    span: Json = {
        "start_index": _characters(data, segment.get("startIndex")),
        "end_index": _characters(data, segment.get("endIndex")),
    }
    return {**span, "content": quoted} if quoted else span


def _characters(data: bytes, size: Any) -> int:
    return len(data[:size].decode("utf-8", "ignore")) if isinstance(size, int) else 0


def _citations(candidate: Json) -> list[Json]:
    metadata = candidate.get("citationMetadata")
    if not isinstance(metadata, dict):
        return []
    sources = metadata.get("citationSources") or metadata.get("citations")
    return [
        _annotation({
            "url": source["uri"],
            "title": source.get("title") or source["uri"],
            "start_index": source.get("startIndex") or 0,
            "end_index": source.get("endIndex") or 0,
        })
        for source in _objects(sources)
        if source.get("uri")
    ]  # fmt: skip


def _annotation(citation: Json) -> Json:
    return {"type": "url_citation", "url_citation": citation}


def _objects(entries: Any) -> list[Json]:
    found = entries if isinstance(entries, list) else []
    return [entry for entry in found if isinstance(entry, dict)]


def read_logprobs(result: Any) -> Json | None:
    """Return the log probabilities of the chosen tokens, each with its alternatives."""
    if not isinstance(result, dict):
        return None
    tops = [_objects(top.get("candidates")) for top in _objects(result.get("topCandidates"))]
    content = [
        {**_token(chosen), "top_logprobs": [_token(top) for top in beside]}
        for chosen, beside in _pair(_objects(result.get("chosenCandidates")), tops)
    ]
    return {"content": content, "refusal": None} if content else None


def _pair(chosen: list[Json], tops: list[list[Json]]) -> list[tuple[Json, list[Json]]]:
    """Pair the tokens with their alternatives, which are empty where not requested."""
    missing: list[list[Json]] = [[]] * (len(chosen) - len(tops))
    return list(zip(chosen, tops + missing, strict=False))


def _token(candidate: Json) -> Json:
    token = candidate.get("token")
    token = token if isinstance(token, str) else ""
    logprob = candidate.get("logProbability", 0.0)
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


class GeminiCandidate:
    """Reader of one candidate. `finished`: its finish reason has come."""

    __slots__ = ("_calls", "_details", "_hidden", "_ids", "_last", "_reason", "_seed", "_texts",
                 "_thinking", "finished", "index", "queries")  # fmt: skip

    def __init__(self, index: int, seed: str, *, hidden: bool) -> None:
        self.index = index
        self.finished = False
        self.queries: set[str] = set()  # of the model's web searches
        self._seed = f"{seed}/{index}"
        self._hidden = hidden  # the answer leaves out the thoughts
        self._reason: str | None = None
        self._texts: list[str] = []
        self._ids: set[str] = set()
        self._calls = 0
        self._details = 0  # number of reasoning details
        self._thinking = False  # the last part was a thought, which the next one continues
        self._last: Json = {}  # the latest candidate object with sources

    def feed(self, candidate: Json) -> Json:
        """Return the delta of a chunk's candidate. It is empty where the chunk adds nothing."""
        if reason := text_field(candidate, "finishReason"):
            self._reason, self.finished = reason, True
        if candidate.get("groundingMetadata") or candidate.get("citationMetadata"):
            self._last = candidate
            self.queries |= read_queries(candidate.get("groundingMetadata"))
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        delta: Json = {}
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                self._read(part, delta)
        return delta

    def finish(self) -> tuple[Json, Json]:
        """Return the last delta, with the sources, and the fields of the finish reason."""
        notes = read_annotations(self._last, "".join(self._texts))
        reasons = {
            "finish_reason": finish_reason(self._reason, called=self._calls > 0),
            "native_finish_reason": self._reason,
        }
        return ({"annotations": notes} if notes else {}), reasons

    def _read(self, part: Json, delta: Json) -> None:
        text, signature = text_field(part, "text"), text_field(part, "thoughtSignature")
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
        if (
            signature and kept
        ):  # parts of Google's own tools are left out, so they cannot be sent back
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
        name, call_id = text_field(call, "name") or "", text_field(call, "id")
        if not call_id or call_id in self._ids:
            call_id = generate_id(self._seed, self._calls, name)
        self._ids.add(call_id)
        arguments = orjson.dumps(call.get("args") or {}).decode()
        entry: Json = {
            "index": self._calls,
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }
        if signature:
            entry["extra_content"] = {"google": {"thought_signature": signature}}
        delta.setdefault("tool_calls", []).append(entry)
        self._calls += 1
        return call_id


def with_logprobs(choice: Json, candidate: Json) -> Json:
    """Return the choice with the candidate's log probabilities, if it has any."""
    logprobs = read_logprobs(candidate.get("logprobsResult"))
    return {**choice, "logprobs": logprobs} if logprobs else choice


def _attach(inline: Json, delta: Json) -> None:
    """Add generated media: images in OpenRouter's shape, audio in OpenAI's."""
    data, mime = inline.get("data"), text_field(inline, "mimeType") or ""
    if not isinstance(data, str):
        return
    if mime.startswith("audio/"):
        audio_id = f"audio_{blake2b(data.encode(), digest_size=12).hexdigest()}"
        audio: Json = {"id": audio_id, "data": data, "transcript": "", "expires_at": 0}
        delta["audio"] = audio | {"format": mime}
        return
    image: Any = {"url": f"data:{mime or 'image/png'};base64,{data}"}
    delta.setdefault("images", []).append({"type": "image_url", "image_url": image})
