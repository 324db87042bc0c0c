"""Bodies and headers of calls, as the OpenAPI document describes them."""

from collections.abc import Sequence
from typing import Any

from fastapi.params import Depends as Dependency
from pydantic import BaseModel, Field

from api.core.bodies import DescribedBody, DescribedForm, FileContent
from api.core.dependencies import CALL_HEADERS
from api.jobs.response_schemas import Job
from api.jobs.schemas import CHAT_EXAMPLE
from broker.completion import Json
from broker.requests.bodies import SCHEMAS
from broker.requests.operations import Operation

EXAMPLES: dict[Operation, Json] = {
    Operation.CHAT: CHAT_EXAMPLE,
    Operation.COMPLETIONS: {"model": "acme/base", "prompt": "Once upon a time"},
    Operation.EMBEDDINGS: {"model": "acme/embed", "input": ["first text", "second text"]},
    Operation.IMAGES: {"model": "acme/paint", "prompt": "A lighthouse at dawn"},
    Operation.IMAGE_EDITS: {
        "model": "acme/paint",
        "prompt": "Make it night",
        "images": [{"image_url": "data:image/png;base64,iVBORw0KGgo="}],
    },
    Operation.IMAGE_VARIATIONS: {
        "model": "acme/paint",
        "images": [{"image_url": "data:image/png;base64,iVBORw0KGgo="}],
    },
    Operation.RERANK: {"model": "acme/rank", "query": "capital of France", "documents": ["Paris"]},
    Operation.MODERATIONS: {"model": "acme/moderation", "input": ["a text", "another text"]},
    Operation.TRANSCRIPTIONS: {
        "model": "acme/listen", "input_audio": {"data": "UklGRg==", "format": "wav"},
    },
    Operation.SPEECH: {"model": "acme/speak", "input": "Hello.", "voice": "alloy"},
}  # fmt: skip


class TranscriptionForm(BaseModel):
    """Sound to turn into text: OpenAI's form."""

    file: FileContent = Field(description="The sound.")
    model: str = Field(description="The slug of the model.")
    language: str | None = Field(None, description="The language of the sound (ISO 639-1).")
    prompt: str | None = Field(None, description="A text that helps to recognize words.")
    response_format: str | None = Field(
        None, description="`json`, `text`, `srt`, `verbose_json` or `vtt`."
    )
    temperature: float | None = Field(None, description="The randomness, from 0 to 1.")
    timestamp_granularities: list[str] | None = Field(
        None,
        alias="timestamp_granularities[]",
        description="`word` and `segment`: the parts that get times, with `verbose_json`.",
    )


class ImageVariationForm(BaseModel):
    """An image to vary: OpenAI's form."""

    image: FileContent = Field(description="The image.")
    model: str = Field(description="The slug of the model.")
    n: int | None = Field(None, description="The number of images.")
    size: str | None = Field(None, description="Width and height, e.g. `1024x1024`.")
    response_format: str | None = Field(None, description="`url` or `b64_json`.")
    user: str | None = Field(None, description="Your id of the end user.")


class ImageEditForm(BaseModel):
    """Images to change as a prompt says: OpenAI's form."""

    image: FileContent | list[FileContent] = Field(
        description="The image, or at most 16, each in a field `image[]`."
    )
    prompt: str = Field(description="The description of the change.")
    model: str = Field(description="The slug of the model.")
    mask: FileContent | None = Field(
        None, description="A PNG whose transparent areas are the part of the first to change."
    )
    n: int | None = Field(None, description="The number of images.")
    size: str | None = Field(None, description="Width and height, e.g. `1024x1024`.")
    quality: str | None = Field(None, description="The quality, e.g. `high`.")
    background: str | None = Field(None, description="`transparent`, `opaque` or `auto`.")
    input_fidelity: str | None = Field(None, description="`high` or `low`.")
    output_format: str | None = Field(None, description="`png`, `jpeg` or `webp`.")
    output_compression: int | None = Field(
        None, description="The compression of `jpeg` and `webp` in per cent."
    )
    response_format: str | None = Field(None, description="`url` or `b64_json`.")
    user: str | None = Field(None, description="Your id of the end user.")


IMAGE_EDIT_FORM = Dependency(
    DescribedForm(ImageEditForm, {"model": "acme/paint", "prompt": "Make it night"})
)
IMAGE_VARIATION_FORM = Dependency(DescribedForm(ImageVariationForm, {"model": "acme/paint"}))
TRANSCRIPTION_FORM = Dependency(DescribedForm(TranscriptionForm, {"model": "acme/listen"}))

LATER: dict[int | str, dict[str, Any]] = {
    202: {
        "model": Job,
        "description": "Accepted, with `Prefer: respond-async`, or when `wait=N` has passed.",
    }
}


def describe_body(operation: Operation) -> Dependency:
    """Return the dependency that describes the body of an operation."""
    return Dependency(DescribedBody(SCHEMAS[operation], EXAMPLES[operation]))


def describe_call(operation: Operation) -> Sequence[Dependency]:
    """Return the dependencies that describe the body and the headers of a call."""
    return [describe_body(operation), *CALL_HEADERS]
