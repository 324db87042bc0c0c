"""Wires of vendors that make pictures and have no chats: their keys and addresses.

Rules: docs.bfl.ai, "API"; docs.fal.ai, "Queue API"; platform.stability.ai, "REST v2beta API". Their
operations are in `workers/operations/`.
"""

from dataclasses import replace
from typing import ClassVar

from broker.completion import CompletionRequest
from workers.adapters.base import HttpRequest, Upstream
from workers.adapters.openai import OpenAiAdapter
from workers.adapters.openai.adapter import build_headers


class PictureWire(OpenAiAdapter):
    """A wire without chats. Only a check of its keys builds a request of it."""

    key_header: ClassVar[str]
    key_prefix: ClassVar[str] = ""

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        built = super().build_request(request, replace(upstream, api_key=None))
        return replace(built, headers={**built.headers, **self.build_headers(upstream)})

    def build_headers(
        self, upstream: Upstream, *, content: str = "application/json"
    ) -> dict[str, str]:
        """Return the headers of a request."""
        headers = build_headers(replace(upstream, api_key=None), content=content)
        if upstream.api_key:
            headers[self.key_header] = f"{self.key_prefix}{upstream.api_key}"
        return headers


class BlackForestLabsWire(PictureWire):
    """Black Forest Labs: a job for each picture, and its key in `x-key`."""

    wire = "bfl"
    key_header = "x-key"


class FalWire(PictureWire):
    """Fal: a queue of jobs."""

    wire = "fal"
    key_header = "authorization"
    key_prefix = "Key "


class StabilityWire(PictureWire):
    """Stability AI: forms, whose answers are the pictures."""

    wire = "stability"
    key_header = "authorization"
    key_prefix = "Bearer "
