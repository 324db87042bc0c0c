"""A crafted image costs no more than its bytes: its beginning tells its type."""

import base64
import tracemalloc
from struct import pack
from zlib import crc32

import pytest

from broker.completion import ErrorType, Failure
from broker.requests.content_sizes import measure
from tests.workers.media.pdfs import HERE
from workers.adapters.registry import ADAPTERS
from workers.media import Prepared, prepare

HUGE = 2**31 - 1  # pixels in each direction


def png(width: int, height: int, rest: bytes = b"") -> bytes:
    head = b"IHDR" + pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + pack(">I", 13) + head + pack(">I", crc32(head)) + rest


CRAFTED = {
    "huge size": png(HUGE, HUGE),
    "truncated": b"\x89PNG\r\n\x1a\n\0\0",
    "image and PDF": png(1, 1, b"%PDF-1.7\n" * 20),
    "image and page": b"GIF89a<script>alert(1)</script>",
    "WebP of 4 GB": b"RIFF\xff\xff\xff\xffWEBPVP8L\xff\xff\xff\xff",
}
NO_IMAGES = {
    "one byte": b"\x89",
    "a PDF": b"%PDF-1.7",
    "a page": b"<svg onload='x'/>",
    "NUL": b"\0",
}


def body(content: bytes, mime: str = "image/png") -> dict:
    url = f"data:{mime};base64,{base64.b64encode(content).decode()}"
    part = {"type": "image_url", "image_url": {"url": url}}
    return {"messages": [{"role": "user", "content": [part]}]}


async def fitted(asked: dict, wire: str = "openai") -> Prepared | Failure:
    async def fetch(url: str) -> None:
        raise AssertionError(f"{url} was fetched")

    return await prepare(asked, modalities=None, adapter=ADAPTERS[wire], fetch=fetch, readers=HERE)


@pytest.mark.parametrize("wire", ADAPTERS)
@pytest.mark.parametrize("name", CRAFTED)
async def test_a_crafted_image_costs_its_bytes(name: str, wire: str) -> None:
    asked = body(CRAFTED[name])
    await fitted(asked, wire)  # what is loaded once
    tracemalloc.start()
    try:
        result = await fitted(asked, wire)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(result, Prepared)
    assert result.fetched == 0
    assert peak < 1_000_000


@pytest.mark.parametrize("name", NO_IMAGES)
async def test_what_nobody_says_to_be_an_image_is_refused(name: str) -> None:
    result = await fitted(body(NO_IMAGES[name], "application/octet-stream"))
    assert isinstance(result, Failure)
    assert result.error_type is ErrorType.INVALID_IMAGE


async def test_a_pdf_that_is_stated_to_be_an_image_is_refused() -> None:
    result = await fitted(body(NO_IMAGES["a PDF"]))
    assert isinstance(result, Failure)
    assert result.error_type is ErrorType.INVALID_IMAGE


def test_what_is_held_follows_no_declared_size() -> None:
    small, huge = (measure(body(png(size, size))) for size in (1, HUGE))
    assert small == huge
