"""Read from a body what it requires of an endpoint. Pure: nothing is decoded."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from mimetypes import guess_type
from typing import Any
from urllib.parse import urlsplit

from broker.completion import Json
from broker.requests import context_compression, parameters, token_estimates
from broker.requests.data_uris import is_data_uri, stated_type
from broker.requests.plugins import FileParser, read_file_parser

LIKELY_OUTPUT = 1_000
"""Output tokens to compare prices and speeds by, where the body names no fewer."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """The capabilities that a request requires, and its size."""

    modalities: frozenset[str] = frozenset()  # input beside text
    outputs: frozenset[str] = frozenset()  # output; of a chat at least text
    parameters: frozenset[str] = frozenset()  # what the body sets
    must: frozenset[str] = frozenset()  # those of them without which the answer is another one
    input_tokens: int = 0  # estimated
    output_tokens: int | None = None  # the most that was asked for
    shortened_up_to: int = 0  # a prompt too long for a context of this size is made to fit it

    @property
    def likely_output(self) -> int:
        return min(self.output_tokens or LIKELY_OUTPUT, LIKELY_OUTPUT)


NO_REQUIREMENTS = Requirements()


MEDIA_PARTS = {
    "image_url": "image",
    "image": "image",
    "input_audio": "audio",
    "video_url": "video",
    "file": "file",
    "document": "file",
}
"""OpenAI's, OpenRouter's and Anthropic's content parts that hold something other than text."""

TEXT = frozenset({"text"})

READABLE = ("application/pdf", "application/json", "application/xml")
"""Besides text/*: types whose text can be given to a model that takes no files."""


def requirements_of(body: Json) -> Requirements:
    """Return what a body needs of an endpoint."""
    asked = parameters.parameters_of(body)
    return Requirements(
        modalities=modalities(body),
        outputs=_outputs(body),
        parameters=asked,
        must=_must(body, asked),
        input_tokens=token_estimates.estimate_input_tokens(body),
        output_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        shortened_up_to=_shortened_up_to(body),
    )


def _outputs(body: Json) -> frozenset[str]:
    """Return what an endpoint must give: a chat's text, or what `modalities` names beside it."""
    named = body.get("modalities")
    beside = frozenset(named) - TEXT if isinstance(named, list) else frozenset()
    return beside or (TEXT if "messages" in body else frozenset())


def _shortened_up_to(body: Json) -> int:
    """Return the largest context that a prompt which is too long for it is shortened to."""
    if context_compression.is_requested(body, sys.maxsize):
        return sys.maxsize
    small = context_compression.SMALL_CONTEXT
    return small if context_compression.is_requested(body, small) else 0


def _must(body: Json, asked: frozenset[str]) -> frozenset[str]:
    """Return the parameters without which the answer would not be what was asked for."""
    without = set()
    if not body.get("tools") or body.get("tool_choice") == "none":
        without.add("tools")
    form = body.get("response_format")
    if not isinstance(form, dict) or form.get("type") == "text":
        without.add("response_format")
    return asked & parameters.ESSENTIAL - without


def modalities(body: Json) -> frozenset[str]:
    """Return the input modalities without which an endpoint cannot serve the body.

    A PDF or a text file needs none: its text can be extracted, unless the body's `file-parser`
    plugin says otherwise. Raises InvalidRequestError where that names an unknown engine.
    """
    parts = list(media_parts(body))
    if not parts:
        return frozenset()
    parser = read_file_parser(body.get("plugins"))
    return frozenset(need for part in parts if (need := _modality(part, parser)))


def media_parts(body: Json) -> Iterator[Json]:
    """Yield the content parts that hold something other than text."""
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and part.get("type") in MEDIA_PARTS:
                yield part


def _modality(part: Json, parser: FileParser) -> str | None:
    modality = MEDIA_PARTS[part["type"]]
    if modality != "file":
        return modality
    mime = _mime(part)
    family = mime.partition("/")[0]
    if family in ("image", "audio", "video"):
        return family
    readable = family == "text" or mime in READABLE
    return None if readable and not parser.must_be_native else "file"


def _mime(part: Json) -> str:
    """Tell a file's type by what is written about it; one that nothing tells of may be a PDF."""
    held = part.get("file") if part["type"] == "file" else part.get("source")
    if not isinstance(held, dict):
        return "application/pdf"
    if held.get("file_id"):
        return "application/octet-stream"  # in a provider's own store: out of our reach
    stated = held.get("media_type") or ("text/plain" if held.get("type") == "text" else None)
    if isinstance(stated, str):
        return stated.lower()
    place = held.get("file_data") or held.get("url")
    if isinstance(place, str) and is_data_uri(place):
        return stated_type(place) or "text/plain"
    return _by_name(held.get("filename")) or _by_name(_path(place)) or "application/pdf"


def _path(place: Any) -> str:
    if not isinstance(place, str) or "://" not in place[:12]:
        return ""
    try:
        return urlsplit(place).path
    except ValueError:
        return ""


def _by_name(name: Any) -> str | None:
    return guess_type(name)[0] if isinstance(name, str) else None
