"""The form and the answers of the routes under /files."""

from typing import Literal

from pydantic import BaseModel, Field

from api.core.bodies import DescribedForm, FileContent


class FileForm(BaseModel):
    """A file to keep."""

    file: FileContent = Field(description="The content and the name of the file.")
    purpose: str = Field(
        "user_data",
        description="`batch` for the input of a batch, otherwise `user_data`, `assistants`, …",
    )
    expires_after_anchor: Literal["created_at"] = Field(
        "created_at",
        alias="expires_after[anchor]",
        description="The moment from which `expires_after[seconds]` counts.",
    )
    expires_after_seconds: int | None = Field(
        None,
        alias="expires_after[seconds]",
        description="Seconds until the file is deleted: 3600 to 2592000.",
    )


FILE_FORM = DescribedForm(FileForm, {"purpose": "batch"})
