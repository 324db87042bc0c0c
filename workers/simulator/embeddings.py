"""POST /v1/embeddings."""

import struct
from base64 import b64encode
from functools import lru_cache
from hashlib import shake_128
from math import sqrt
from typing import Any, Final

import orjson

from workers.simulator.operation import Operation
from workers.simulator.replies import count_tokens
from workers.simulator.requests import Json, Reply, Request, invalid
from workers.simulator.wire import Head

DIMENSIONS: Final = 1536
MOST_DIMENSIONS: Final = 4096
MOST_INPUTS: Final = 2048
FORMATS: Final = ("float", "base64")
Input = str | list[int]


class Embeddings(Operation):
    """Vectors of unit length; the same input has the same vector, always."""

    def understand(self, call: Json, head: Head) -> Request:
        del head
        inputs = _inputs(call["input"])
        dimensions = int(call.get("dimensions") or DIMENSIONS)
        if not 1 <= dimensions <= MOST_DIMENSIONS:
            raise invalid(f"Invalid value for 'dimensions': 1 to {MOST_DIMENSIONS} can be had")
        encoding = call.get("encoding_format") or "float"
        if encoding not in FORMATS:
            raise invalid("Invalid value for 'encoding_format'")
        tokens = sum(map(_count, inputs))
        detail = (inputs, dimensions, encoding)
        return Request(call["model"], tokens=tokens, detail=detail)

    def answer(self, request: Request, reply: Reply) -> bytes:
        inputs, dimensions, encoding = request.detail
        data = [
            {"object": "embedding", "index": index, "embedding": _encoded(each, encoding)}
            for index, each in enumerate(vector(_key(each), dimensions) for each in inputs)
        ]
        whole: dict[str, Any] = {"object": "list", "data": data, "model": request.model}
        if reply.usage:
            whole["usage"] = {"prompt_tokens": request.tokens, "total_tokens": request.tokens}
        return orjson.dumps(whole)


@lru_cache(maxsize=1024)
def vector(key: bytes, dimensions: int) -> tuple[float, ...]:
    raw = struct.unpack(f"<{dimensions}h", shake_128(key).digest(2 * dimensions))
    length = sqrt(sum(number * number for number in raw)) or 1.0
    return tuple(number / length for number in raw)


def _inputs(asked: Any) -> list[Input]:
    """Return one input or many: texts, or lists of tokens."""
    if isinstance(asked, str) or (asked and isinstance(asked[0], int)):
        asked = [asked]
    if not asked or len(asked) > MOST_INPUTS or not all(map(_valid, asked)):
        raise invalid("Invalid value for 'input': texts or lists of tokens, none empty")
    inputs: list[Input] = asked
    return inputs


def _valid(each: Any) -> bool:
    if isinstance(each, str):
        return bool(each)
    return isinstance(each, list) and bool(each) and all(isinstance(token, int) for token in each)


def _count(each: Input) -> int:
    return count_tokens(each) if isinstance(each, str) else len(each)


def _key(each: Input) -> bytes:
    return each.encode() if isinstance(each, str) else orjson.dumps(each)


def _encoded(numbers: tuple[float, ...], encoding: str) -> tuple[float, ...] | str:
    if encoding == "float":
        return numbers
    return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
