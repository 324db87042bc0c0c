"""Split `<think>…</think>` at the head of a text from the answer behind it."""

from enum import Enum, auto

_OPEN = "<think>"
_CLOSE = "</think>"


class _At(Enum):
    START = auto()  # perhaps before the tag
    THINKING_START = auto()  # newlines behind the tag are dropped
    THINKING = auto()
    ANSWER_START = auto()
    ANSWER = auto()


class ThinkingSplitter:
    """Takes text in pieces cut anywhere; the pieces' cuts never change what comes out."""

    __slots__ = ("_at", "_held")

    def __init__(self) -> None:
        self._at = _At.START
        self._held = ""

    @property
    def settled(self) -> bool:
        """Whether all further text is answer: the caller need not ask any more."""
        return self._at is _At.ANSWER

    def feed(self, text: str) -> tuple[str, str]:
        """Return (reasoning, answer) as far as they are certain."""
        text = self._held + text
        self._held = ""
        if self._at is _At.START:
            text = self._start(text)
        reasoning = ""
        if self._at in (_At.THINKING_START, _At.THINKING):
            reasoning, text = self._think(text)
        return reasoning, self._answer(text)

    def close(self) -> tuple[str, str]:
        """Return what was held back in case it was the beginning of a tag."""
        held, self._held = self._held, ""
        thinking = self._at in (_At.THINKING_START, _At.THINKING)
        self._at = _At.ANSWER
        return (held, "") if thinking else ("", held)

    def _start(self, text: str) -> str:
        head = text.lstrip()
        if head.startswith(_OPEN):
            self._at = _At.THINKING_START
            return head.removeprefix(_OPEN)
        if _OPEN.startswith(head):
            self._held = text
            return ""
        self._at = _At.ANSWER
        return text

    def _think(self, text: str) -> tuple[str, str]:
        if self._at is _At.THINKING_START:
            text = text.lstrip("\r\n")
            if not text:
                return "", ""
            self._at = _At.THINKING
        reasoning, tag, answer = text.partition(_CLOSE)
        if tag:
            self._at = _At.ANSWER_START
            return reasoning, answer
        kept = _overlap(text)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept], ""

    def _answer(self, text: str) -> str:
        if self._at is _At.ANSWER_START:
            text = text.lstrip("\r\n")
            if text:
                self._at = _At.ANSWER
        return text


def split_thinking(text: str) -> tuple[str, str]:
    """Return (reasoning, answer) of a whole text."""
    splitter = ThinkingSplitter()
    reasoning, answer = splitter.feed(text)
    more_reasoning, more_answer = splitter.close()
    return reasoning + more_reasoning, answer + more_answer


def _overlap(text: str) -> int:
    """Return how many of the last characters may be the beginning of the closing tag."""
    for size in range(min(len(text), len(_CLOSE) - 1), 0, -1):
        if _CLOSE.startswith(text[-size:]):
            return size
    return 0
