"""The fields of every operation besides chat."""

from typing import Annotated

from pydantic import Field

from broker.requests.bodies.messages import OpenBody

Slug = Annotated[str, Field(min_length=1)]


class OperationRequest(OpenBody):
    """The fields of every operation besides chat."""

    model: Slug | None = Field(None, description="The slug of the model.")
    models: list[str] | None = Field(None, description="Slugs of models to try in this order.")
    user: str | None = Field(None, description="Your id of the end user.")
    coalesce: bool | None = Field(
        None, description="Whether identical concurrent jobs share one call."
    )
