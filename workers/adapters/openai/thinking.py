"""Separation of `<think>…</think>` at the start of a text from the answer after it."""

from enum import Enum, auto

_OPEN = "<think>"
_CLOSE = "</think>"


class _Position(Enum):
    """The position within the text."""

    START = auto()  # the tag may follow
    THINKING_START = auto()  # newlines after the tag are dropped
    THINKING = auto()
    ANSWER_START = auto()
    ANSWER = auto()


class ThinkingSplitter:
    """Splitter of text that comes in pieces. The result does not depend on the pieces."""

    __slots__ = ("_at", "_held")

    def __init__(self) -> None:
        self._at = _Position.START
        self._held = ""

    @property
    def is_done(self) -> bool:
        """Return whether all further text is answer."""
        return self._at is _Position.ANSWER

    def feed(self, text: str) -> tuple[str, str]:
        """Return (reasoning, answer), without text that may still belong to a tag."""
        text = self._held + text
        self._held = ""
        if self._at is _Position.START:
            text = self._start(text)
        reasoning = ""
        if self._at in (_Position.THINKING_START, _Position.THINKING):
            reasoning, text = self._think(text)
        return reasoning, self._answer(text)

    def close(self) -> tuple[str, str]:
        """Return (reasoning, answer) with the text that was held back."""
        held, self._held = self._held, ""
        thinking = self._at in (_Position.THINKING_START, _Position.THINKING)
        self._at = _Position.ANSWER
        return (held, "") if thinking else ("", held)

    def _start(self, text: str) -> str:
        head = text.lstrip()
        if head.startswith(_OPEN):
            self._at = _Position.THINKING_START
            return head.removeprefix(_OPEN)
        if _OPEN.startswith(head):
            self._held = text
            return ""
        self._at = _Position.ANSWER
        return text

    def _think(self, text: str) -> tuple[str, str]:
        if self._at is _Position.THINKING_START:
            text = text.lstrip("\r\n")
            if not text:
                return "", ""
            self._at = _Position.THINKING
        reasoning, tag, answer = text.partition(_CLOSE)
        if tag:
            self._at = _Position.ANSWER_START
            return reasoning, answer
        kept = _overlap(text)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept], ""

    def _answer(self, text: str) -> str:
        if self._at is _Position.ANSWER_START:
            text = text.lstrip("\r\n")
            if text:
                self._at = _Position.ANSWER
        return text


def split_thinking(text: str) -> tuple[str, str]:
    """Return (reasoning, answer) of a whole text."""
    splitter = ThinkingSplitter()
    reasoning, answer = splitter.feed(text)
    more_reasoning, more_answer = splitter.close()
    return reasoning + more_reasoning, answer + more_answer


def _overlap(text: str) -> int:
    """Return the number of last characters that may begin the closing tag."""
    for size in range(min(len(text), len(_CLOSE) - 1), 0, -1):
        if _CLOSE.startswith(text[-size:]):
            return size
    return 0
