"""Anthropic's prompt cache: what was marked once is read cheaper the next time."""

from hashlib import blake2b
from typing import Final

import orjson

from workers.simulator.anthropic_blocks import weight, whole_prompt
from workers.simulator.requests import Json

REMEMBERED: Final = 10_000  # prefixes; then it begins anew


class PromptCache:
    """Prefixes of prompts. There is no least length, so that short tests can show it at work."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def look(self, call: Json) -> tuple[int, int]:
        """Return how many tokens are read from the cache and how many are written to it."""
        digest, tokens, read, marked = blake2b(call["model"].encode(), digest_size=16), 0, 0, 0
        new: list[bytes] = []
        for block in whole_prompt(call):
            plain = {key: value for key, value in block.items() if key != "cache_control"}
            digest.update(orjson.dumps(plain))
            tokens += weight(block)
            if digest.digest() in self._seen:
                read = tokens
            if block.get("cache_control"):
                marked = tokens
                new.append(digest.digest())
        if call.get("cache_control"):
            marked = tokens
            new.append(digest.digest())
        self._remember(new)
        return (read, max(marked - read, 0)) if new else (0, 0)

    def _remember(self, prefixes: list[bytes]) -> None:
        if len(self._seen) > REMEMBERED:
            self._seen.clear()
        self._seen.update(prefixes)
