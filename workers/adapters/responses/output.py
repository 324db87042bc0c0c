"""The output items of an answer, as they grow, and the chunks that they add to it."""

from dataclasses import dataclass, field
from typing import Any

from broker.completion import Chunk, CompletionRequest, Json
from workers.adapters.choices import SingleChoice
from workers.adapters.json_shapes import as_object, as_objects, as_text
from workers.adapters.reasoning import hides_reasoning
from workers.adapters.responses.reasoning_items import FORMAT

_PARAGRAPH = "\n\n"  # between two texts of the reasoning
_CALLS = {"function_call": ("function", "arguments"), "custom_tool_call": ("custom", "input")}
_REASONING_PARTS = {"summary": "summary", "content": "text"}  # field of an item → kind of detail


_TAIL = 32  # characters


@dataclass(slots=True)
class _Text:
    """A text of an item, and how much of it has become chunks."""

    start: int = 0  # characters of the answer's content before it
    annotated: int = 0  # annotations
    index: int = 0  # of its reasoning detail
    written: int = 0  # characters
    tail: str = ""  # the last ones written

    def write(self, text: str) -> None:
        """Note a text that becomes a chunk."""
        self.written += len(text)
        self.tail = (self.tail + text)[-_TAIL:]

    def missing(self, whole: str) -> str:
        """Return what of the whole text is not written; nothing where another text was written."""
        is_begun = whole[: self.written].endswith(self.tail)
        return whole[self.written :] if is_begun else ""


@dataclass(slots=True)
class _Item:
    """An output item."""

    number: int
    kind: str
    id: str | None
    name: str = ""  # of a called tool
    texts: dict[tuple[str, int], _Text] = field(default_factory=dict)  # by field and index
    is_called: bool = False  # its call has begun
    is_done: bool = False


class Output:
    """The output items of one answer.

    Each method returns the chunks that it adds. A text may come in deltas, whole, or both: what has
    come already is not added again.
    """

    def __init__(self, request: CompletionRequest, choice: SingleChoice) -> None:
        self._choice = choice
        self._hidden = hides_reasoning(request.body)
        self._items: dict[Any, _Item] = {}  # by index of the output, or by id
        self._content = 0  # characters so far
        self._details = 0  # reasoning details so far
        self._has_reasoned = False

    @property
    def searches(self) -> int:
        """Return the number of web searches by the provider's own tool."""
        return sum(item.kind == "web_search_call" for item in self._items.values())

    def open(self, key: Any, given: Json) -> list[Chunk]:
        """Add an item that has begun."""
        item = self._item(key, as_text(given.get("type")), _id(given))
        if item.kind not in _CALLS or item.is_called:
            return []
        return self._begin_call(item, given)

    def add_text(self, key: Any, part: int, text: str, logprobs: Any = None) -> list[Chunk]:
        """Add to a text of a message."""
        return self._write(self._item(key, "message"), part, text, _logprobs(logprobs))

    def add_refusal(self, key: Any, part: int, text: str) -> list[Chunk]:
        """Add to a refusal."""
        self._text(self._item(key, "message"), "refusal", part).write(text)
        return self._choice.add(refusal=text)

    def add_annotation(self, key: Any, part: int, annotation: Any) -> list[Chunk]:
        """Add an annotation of a text."""
        text = self._text(self._item(key, "message"), "text", part)
        text.annotated += 1
        return self._annotate(text, [annotation])

    def add_reasoning(self, key: Any, name: str, part: int, text: str) -> list[Chunk]:
        """Add to a reasoning text of the field `summary` or `content`."""
        return self._think(self._item(key, "reasoning"), name, part, text)

    def add_input(self, key: Any, kind: str, text: str) -> list[Chunk]:
        """Add to the arguments of a call."""
        item = self._item(key, kind)
        return self._call(item, text) if item.is_called else []

    def end(self, key: Any, given: Json) -> list[Chunk]:
        """Add what is still missing of an item that is whole."""
        kind = as_text(given.get("type"))
        item = self._item(key, kind, _id(given))
        if item.is_done or item.kind != kind:
            return []
        item.is_done = True
        if kind in _CALLS:
            return self._end_call(item, given)
        match kind:
            case "message":
                return self._end_message(item, given)
            case "reasoning":
                return self._end_reasoning(item, given)
            case "image_generation_call":
                return self._draw(given)
        return []

    def end_all(self, given: list[Json]) -> list[Chunk]:
        """Add what is still missing of the whole output. Items are found by id, else by kind."""
        chunks: list[Chunk] = []
        known = {item.id: key for key, item in self._items.items() if item.id}
        ids = {_id(item) for item in given}
        rest = [key for key, item in self._items.items() if item.id not in ids]
        for number, each in enumerate(given):
            key = known.get(as_text(each.get("id")))
            if key is None:
                key = self._take(rest, as_text(each.get("type")), ("last", number))
            chunks += self.end(key, each)
        return chunks

    def _take(self, rest: list[Any], kind: str, otherwise: Any) -> Any:
        """Remove the first key of an item of this kind from `rest` and return it."""
        key = next((key for key in rest if self._items[key].kind == kind), None)
        if key is None:
            return otherwise
        rest.remove(key)
        return key

    def _item(self, key: Any, kind: str, item_id: str | None = None) -> _Item:
        item = self._items.get(key)
        if item is None:
            item = self._items[key] = _Item(len(self._items), kind, item_id)
        item.id = item.id or item_id
        return item

    def _text(self, item: _Item, name: str, part: int) -> _Text:
        text = item.texts.get((name, part))
        if text is None:
            text = item.texts[name, part] = _Text(start=self._content)
            if item.kind == "reasoning":
                text.index = self._next_detail()
        return text

    def _next_detail(self) -> int:
        self._details += 1
        return self._details - 1

    def _write(
        self, item: _Item, part: int, text: str, logprobs: Json | None = None
    ) -> list[Chunk]:
        self._text(item, "text", part).write(text)
        self._content += len(text)
        return self._choice.add(content=text, logprobs=logprobs)

    def _annotate(self, text: _Text, annotations: list[Any]) -> list[Chunk]:
        notes = [note for each in annotations if (note := _annotation(each, text.start))]
        return self._choice.add(annotations=notes)

    def _end_message(self, item: _Item, given: Json) -> list[Chunk]:
        chunks: list[Chunk] = []
        for number, part in enumerate(as_objects(given.get("content"))):
            if part.get("type") == "refusal":
                chunks += self._end_refusal(item, number, as_text(part.get("refusal")))
                continue
            text = self._text(item, "text", number)
            if missing := text.missing(as_text(part.get("text"))):
                logprobs = None if text.written else _logprobs(part.get("logprobs"))
                chunks += self._write(item, number, missing, logprobs)
            chunks += self._annotate(text, as_objects(part.get("annotations"))[text.annotated :])
        return chunks

    def _end_refusal(self, item: _Item, number: int, refusal: str) -> list[Chunk]:
        text = self._text(item, "refusal", number)
        return self._choice.add(refusal=text.missing(refusal))

    def _think(self, item: _Item, name: str, part: int, text: str) -> list[Chunk]:
        if self._hidden or not text:
            return []
        piece = self._text(item, name, part)
        lead = _PARAGRAPH if self._has_reasoned and not piece.written else ""
        self._has_reasoned = True
        piece.write(text)
        kind = _REASONING_PARTS[name]
        detail = self._detail(item, kind, piece.index, {kind: text})
        return self._choice.add(reasoning=lead + text, reasoning_details=[detail])

    def _end_reasoning(self, item: _Item, given: Json) -> list[Chunk]:
        chunks: list[Chunk] = []
        for name in _REASONING_PARTS:
            for number, part in enumerate(as_objects(given.get(name))):
                text, known = as_text(part.get("text")), item.texts.get((name, number))
                missing = known.missing(text) if known else text
                chunks += self._think(item, name, number, missing)
        if (data := as_text(given.get("encrypted_content"))) and not self._hidden:
            detail = self._detail(item, "encrypted", self._next_detail(), {"data": data})
            chunks += self._choice.add(reasoning_details=[detail])
        return chunks

    def _detail(self, item: _Item, kind: str, index: int, content: Json) -> Json:
        named = {"id": item.id} if item.id else {}
        return {"type": f"reasoning.{kind}", **content, **named, "format": FORMAT, "index": index}

    def _begin_call(self, item: _Item, given: Json) -> list[Chunk]:
        item.name = as_text(given.get("name"))
        if not item.name:
            return []
        item.is_called = True
        call_id = as_text(given.get("call_id")) or item.id or ""
        return self._choice.add_calls(self._entry(item, "", id=call_id))

    def _call(self, item: _Item, text: str) -> list[Chunk]:
        if not text:
            return []
        self._text(item, "input", 0).write(text)
        return self._choice.add_calls(self._entry(item, text))

    def _entry(self, item: _Item, text: str, **more: str) -> Json:
        kind, name = _CALLS[item.kind]
        named = {"name": item.name} if more else {}
        return {"index": item.number, "type": kind, **more, kind: {**named, name: text}}

    def _end_call(self, item: _Item, given: Json) -> list[Chunk]:
        chunks = [] if item.is_called else self._begin_call(item, given)
        if not item.is_called:
            return []
        text = as_text(given.get(_CALLS[item.kind][1]))
        return chunks + self._call(item, self._text(item, "input", 0).missing(text))

    def _draw(self, given: Json) -> list[Chunk]:
        data = as_text(given.get("result"))
        if not data:
            return []
        url = f"data:image/{as_text(given.get('output_format')) or 'png'};base64,{data}"
        return self._choice.add(images=[{"type": "image_url", "image_url": {"url": url}}])


def _id(item: Json) -> str | None:
    return as_text(item.get("id")) or None


def _annotation(given: Any, start: int) -> Json | None:
    """Return an annotation in the shape of chat completions, which have citations of URLs only."""
    note = as_object(given)
    url = as_text(note.get("url"))
    if note.get("type") != "url_citation" or not url:
        return None
    cited: Json = {"url": url, "title": as_text(note.get("title")) or url}
    for name in ("start_index", "end_index"):
        index = note.get(name)
        cited[name] = start + (index if isinstance(index, int) else 0)
    return {"type": "url_citation", "url_citation": cited}


def _logprobs(given: Any) -> Json | None:
    """Return the log probabilities of tokens in the shape of chat completions."""
    tokens = [_token(each) for each in as_objects(given)]
    return {"content": tokens, "refusal": None} if tokens else None


def _token(given: Json) -> Json:
    likely = [_bare_token(each) for each in as_objects(given.get("top_logprobs"))]
    return {**_bare_token(given), "top_logprobs": likely}


def _bare_token(given: Json) -> Json:
    return {name: given.get(name) for name in ("token", "bytes", "logprob")}
