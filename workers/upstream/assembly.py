"""Assembly of chunks into one answer, which is stored and can be fetched later."""

from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from typing import Any

from broker.completion import Chunk, Completion, Json, Usage
from broker.dialects.accumulation import ChoiceCollector

TEXTS = ("content", "reasoning", "refusal")

_LATEST = ("usage", "upstream_id", "upstream_model", "system_fingerprint", "service_tier")
_read_stated = attrgetter(*_LATEST)


class Assembly:
    """Collector of the chunks of one streamed answer, which also shows them to the caller.

    Chunks without content (a role, an empty text) are held back until the first one with content.
    Until then the attempt can be repeated elsewhere unnoticed.
    """

    def __init__(self, show: Callable[[Chunk], None]) -> None:
        self._show = show
        self._silent: list[Chunk] | None = []  # chunks held back; None once one had content
        self._choices = ChoiceCollector()
        self._answer = Completion(choices=())
        self._stated: tuple[Any, ...] = ()  # by the last chunk, beside its choices
        self.is_counted = False  # the provider has stated the usage beside its text

    def add(self, chunk: Chunk) -> bool:
        """Add a chunk. Return whether it has content."""
        if chunk.event is not None:
            self._show(chunk)
            return True
        self._collect(chunk)
        if not chunk.choices:
            return False
        if self._silent is None:
            self._show(chunk)
            return True
        self._silent.append(chunk)
        if not any(_has_content(choice) for choice in chunk.choices):
            return False
        held, self._silent = self._silent, None
        for each in held:
            self._show(each)
        return True

    def count(self, usage: Usage | None) -> None:
        """Note the usage stated so far, for an answer that may end here."""
        if usage is not None and self._answer.usage is None:
            self._answer = replace(self._answer, usage=usage)

    @property
    def usage(self) -> Usage | None:
        """Return the usage that the provider has stated so far."""
        return self._answer.usage

    @property
    def upstream_id(self) -> str | None:
        """Return the provider's id of the answer, once it has stated one."""
        return self._answer.upstream_id

    def completion(self) -> Completion:
        """Return the answer so far."""
        return replace(self._answer, choices=self._choices.choices())

    def _collect(self, chunk: Chunk) -> None:
        self._choices.add(chunk.choices)
        stated = _read_stated(chunk)
        if stated == self._stated:  # as in most chunks
            return
        self._stated = stated
        self.is_counted = self.is_counted or chunk.usage is not None
        known = {
            name: value for name, value in zip(_LATEST, stated, strict=True) if value is not None
        }
        if known:
            self._answer = replace(self._answer, **known)


def _has_content(choice: Json) -> bool:
    """Return whether a choice adds to the answer, more than its role."""
    delta = (choice.get("delta") or {}).items()
    return bool(
        choice.get("finish_reason")
        or choice.get("logprobs")
        or choice.get("native")
        or any(value for name, value in delta if name != "role")
    )
