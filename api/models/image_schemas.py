"""Answers about models that make images, as the OpenAPI document describes them."""

from typing import Any

from pydantic import BaseModel, Field

_OPTIONS = (
    "The options by field: `enum` with `values`, `range` with `min` and `max`, or `boolean`. "
    "Empty for a model whose options are not known."
)


class ImageArchitecture(BaseModel):
    """The inputs and outputs of a model."""

    input_modalities: list[str] = Field(description="The kinds of content that it takes.")
    output_modalities: list[str] = Field(description="The kinds of content that it makes.")


class ListedImageModel(BaseModel):
    """A model that makes images."""

    id: str = Field(description="The slug of the model.")
    name: str = Field(description="The display name of the model.")
    created: int = Field(description="The time of publication; 0 if it is unknown.")
    description: str = Field(description="A description of the model.")
    architecture: ImageArchitecture = Field(description="The inputs and outputs of the model.")
    supported_parameters: dict[str, dict[str, Any]] = Field(description=_OPTIONS)
    supports_streaming: bool = Field(description="Whether an endpoint sends partial images.")
    endpoints: str = Field(description="The path of the endpoints.")


class ImageModelList(BaseModel):
    """Models that make images."""

    data: list[ListedImageModel] = Field(description="The models.")


class ImagePrice(BaseModel):
    """One price of an endpoint."""

    billable: str = Field(description="What is paid, e.g. `output_image`, `input_text`.")
    unit: str = Field(description="The unit: `image`, `token` or `request`.")
    cost_usd: float = Field(description="The price of a unit in US dollars.")
    variant: str | None = Field(
        None, description="The quality and size with this price; others have the one without."
    )


class ImageModelEndpoint(BaseModel):
    """An endpoint that serves an image model."""

    provider_name: str = Field(description="The display name of the provider.")
    provider_slug: str = Field(description="The slug of the provider.")
    provider_tag: str | None = Field(description="The slug of the provider, for `provider.only`.")
    supported_parameters: dict[str, dict[str, Any]] = Field(description=_OPTIONS)
    supports_streaming: bool = Field(description="Whether it sends partial images.")
    allowed_passthrough_parameters: list[str] = Field(
        description="Empty: all options of `provider.options` are passed on."
    )
    pricing: list[ImagePrice] = Field(description="The prices.")


class ImageModelEndpoints(BaseModel):
    """The endpoints of an image model."""

    id: str = Field(description="The slug of the model.")
    endpoints: list[ImageModelEndpoint] = Field(description="The endpoints.")
