"""Read the requirements of a body on an endpoint. Pure: no media is decoded."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import field
from mimetypes import guess_type
from typing import Any
from urllib.parse import urlsplit

from broker.completion import Json
from broker.requests import context_compression, native, parameters, token_estimates
from broker.requests.data_uris import is_data_uri, stated_type
from broker.requests.image_models import select_picture_options
from broker.requests.native import RequiredWire
from broker.requests.pictures import list_references, read_mask
from broker.requests.plugins import FileParser, read_file_parser
from broker.values import immutable

LIKELY_OUTPUT = 1_000
"""Output tokens for comparisons of price and speed, unless the body sets fewer."""


@immutable
class Requirements:
    """The capabilities that a request requires, and its size."""

    modalities: frozenset[str] = frozenset()  # input besides text
    input_field: str = "messages"  # that has the input
    outputs: frozenset[str] = frozenset()  # output; of a chat at least text
    parameters: frozenset[str] = frozenset()  # set by the body
    must: frozenset[str] = frozenset()  # those that the answer depends on
    input_tokens: int = 0  # estimated
    output_tokens: int | None = None  # the requested maximum
    picture_options: Json = field(default_factory=dict)  # that depend on the image model
    wires: Sequence[RequiredWire] = ()  # for content that no other wire expresses
    shortened_up_to: int = 0  # prompts are shortened for contexts up to this size

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
"""Content parts with media, of OpenAI, OpenRouter and Anthropic."""

TEXT = frozenset({"text"})
IMAGE = frozenset({"image"})

OFFICE = frozenset(
    f"application/vnd.openxmlformats-officedocument.{kind}"
    for kind in (
        "wordprocessingml.document",
        "spreadsheetml.sheet",
        "presentationml.presentation",
    )
)
"""The types of documents of Word, Excel and PowerPoint."""

TEXTS = frozenset({"application/json", "application/xml"})
"""Types of texts besides text/*."""

READABLE = frozenset({"application/pdf", *TEXTS, *OFFICE})
"""Types besides text/* whose text can be sent to a model that accepts no files."""


def find_requirements(body: Json) -> Requirements:
    """Return the requirements of a body."""
    parameters_set = parameters.find_parameters(body)
    return Requirements(
        modalities=find_modalities(body),
        input_field=_find_input_field(body),
        outputs=_find_outputs(body),
        parameters=parameters_set,
        must=_find_essential(body, parameters_set),
        input_tokens=token_estimates.estimate_input_tokens(body),
        output_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        picture_options=select_picture_options(body),
        wires=native.find_required_wires(body),
        shortened_up_to=_find_shortened_context(body),
    )


def _find_input_field(body: Json) -> str:
    references = list_references(body)
    return references[0][0].partition(".")[0] if references else "messages"


def _find_outputs(body: Json) -> frozenset[str]:
    """Return the required output modalities: those of `modalities`, or text for a chat."""
    named = body.get("modalities")
    others = frozenset(named) - TEXT if isinstance(named, list) else frozenset()
    return others or (TEXT if "messages" in body else frozenset())


def _find_shortened_context(body: Json) -> int:
    """Return the largest context for which a prompt that is too long is shortened."""
    if context_compression.is_requested(body, sys.maxsize):
        return sys.maxsize
    small = context_compression.SMALL_CONTEXT
    return small if context_compression.is_requested(body, small) else 0


def _find_essential(body: Json, parameters_set: frozenset[str]) -> frozenset[str]:
    """Return the set parameters that the answer depends on."""
    without = set()
    if not body.get("tools") or body.get("tool_choice") == "none":
        without.add("tools")
    form = body.get("response_format")
    if not isinstance(form, dict) or form.get("type") == "text":
        without.add("response_format")
    return parameters_set & parameters.ESSENTIAL - without


def find_modalities(body: Json) -> frozenset[str]:
    """Return the input modalities without which an endpoint cannot serve the body.

    A PDF, a text file or a picture that is sent as a file needs none: it can be read here, unless
    the body's `file-parser` plugin requires native files. Raises InvalidRequestError for unknown
    settings of the plugin.
    """
    parts = list(list_media_parts(body))
    if not parts:
        return IMAGE if list_references(body) or read_mask(body) else frozenset()
    parser = read_file_parser(body.get("plugins"))
    return frozenset(need for part in parts if (need := _find_modality(part, parser)))


def list_media_parts(body: Json) -> Iterator[Json]:
    """Yield the content parts with media."""
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and part.get("type") in MEDIA_PARTS:
                yield part


def _find_modality(part: Json, parser: FileParser) -> str | None:
    modality = MEDIA_PARTS[part["type"]]
    is_file = modality == "file"
    mime = _find_mime(part) if is_file else ""
    family = mime.partition("/")[0] if is_file else modality
    if family == "image" and parser.reads_picture(is_file=is_file):
        return None
    if family in ("image", "audio", "video"):
        return family
    readable = family == "text" or mime in READABLE
    return None if readable and not parser.must_be_native else "file"


def _find_mime(part: Json) -> str:
    """Return a file's MIME type as stated or by its name; PDF if unknown."""
    source = part.get("file") if part["type"] == "file" else part.get("source")
    if not isinstance(source, dict):
        return "application/pdf"
    if source.get("file_id"):
        return "application/octet-stream"  # stored at the provider: its type is unknown
    stated = source.get("media_type") or ("text/plain" if source.get("type") == "text" else None)
    if isinstance(stated, str):
        return stated.lower()
    location = source.get("file_data") or source.get("url")
    if isinstance(location, str) and is_data_uri(location):
        return stated_type(location) or "text/plain"
    return (
        _guess_mime(source.get("filename"))
        or _guess_mime(_find_path(location))
        or "application/pdf"
    )


def _find_path(location: Any) -> str:
    if not isinstance(location, str) or "://" not in location[:12]:
        return ""
    try:
        return urlsplit(location).path
    except ValueError:
        return ""


def _guess_mime(name: Any) -> str | None:
    return guess_type(name)[0] if isinstance(name, str) else None
