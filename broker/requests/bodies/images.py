"""Bodies of the operations that make pictures: OpenAI's fields, and OpenRouter's for `/images`."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from broker.requests.bodies.messages import ImageUrl, OpenBody
from broker.requests.bodies.shared import OperationRequest

MOST_REFERENCES = 16
"""The most pictures of an edit (OpenAI API reference, "Create image edit")."""

MOST_PICTURES = 10
MOST_PARTIAL_IMAGES = 3

Prompt = Annotated[str, Field(min_length=1, max_length=32_000)]
ImageCount = Annotated[int, Field(ge=1, le=MOST_PICTURES)]


def _refuse_file_id(value: Any) -> Any:
    """Raise ValueError for a picture by the id of a file, which providers cannot read."""
    if isinstance(value, dict) and "file_id" in value and "image_url" not in value:
        raise ValueError("a file's id is not accepted: send image_url, an https URL or a data URI")
    return value


class Reference(OpenBody):
    """A picture to work from."""

    image_url: ImageUrl | Annotated[str, Field(min_length=1)] = Field(
        description="An HTTPS URL or a data URI (a text, or an object with `url`)."
    )


Picture = Annotated[Reference, BeforeValidator(_refuse_file_id)]
Pictures = Annotated[list[Picture], Field(min_length=1, max_length=MOST_REFERENCES)]
OptionalPictures = Annotated[list[Picture], Field(max_length=MOST_REFERENCES)]


class PictureRequest(OperationRequest):
    """The fields of all operations that make pictures."""

    n: ImageCount | None = Field(None, description="The number of images.")
    size: str | None = Field(
        None, description="Width and height, e.g. `1024x1024`, `auto`, or a tier, e.g. `2K`."
    )
    response_format: Literal["url", "b64_json"] | None = Field(
        None, description="The form of the images: a link, or base64; both without it."
    )
    seed: int | None = Field(None, description="A number for repeatable images.")


class DrawingRequest(PictureRequest):
    """The fields of images that are made from a prompt, alone or with other pictures."""

    prompt: Prompt = Field(description="The description of the image.")
    stream: bool | None = Field(
        None, description="Whether the images come as server-sent events, after partial ones."
    )
    partial_images: Annotated[int, Field(ge=0, le=MOST_PARTIAL_IMAGES)] | None = Field(
        None, description="The number of partial images of a stream."
    )
    quality: str | None = Field(None, description="The quality, e.g. `high`.")
    background: Literal["transparent", "opaque", "auto"] | None = Field(
        None, description="`transparent`, `opaque` or `auto`."
    )
    output_format: str | None = Field(None, description="`png`, `jpeg` or `webp`.")
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = Field(
        None, description="The compression of `jpeg` and `webp` in per cent."
    )
    aspect_ratio: Annotated[str, Field(pattern=r"^\d+(\.\d+)?:\d+(\.\d+)?$")] | None = Field(
        None, description="The aspect ratio, e.g. `16:9`, in place of `size`."
    )
    resolution: Literal["512", "768", "1K", "1.5K", "2K", "4K"] | None = Field(
        None, description="The tier of the resolution, with `aspect_ratio`."
    )


class ImageRequest(DrawingRequest):
    """An image to create."""

    style: str | None = Field(None, description="The style, e.g. `natural`.")
    moderation: str | None = Field(None, description="OpenAI's moderation: `auto` or `low`.")
    input_references: OptionalPictures | None = Field(
        None, description="Pictures to work from, at most 16."
    )


class ImageEditRequest(DrawingRequest):
    """Pictures to change as a prompt says."""

    images: Pictures = Field(description="The pictures to change, at most 16.")
    mask: Picture | None = Field(
        None, description="A PNG whose transparent areas are the part of the first to change."
    )
    input_fidelity: Literal["high", "low"] | None = Field(
        None, description="How closely the result keeps to the pictures."
    )


class ImageVariationRequest(PictureRequest):
    """A picture to vary."""

    images: Annotated[list[Picture], Field(min_length=1, max_length=1)] = Field(
        description="The picture to vary, in a list."
    )
    stream: Literal[False] | None = Field(None, description="False: variations are not streamed.")
