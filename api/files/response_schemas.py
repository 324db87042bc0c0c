"""Answers of the routes under /files, as the OpenAPI document describes them.

Times are Unix seconds.
"""

from pydantic import BaseModel, Field


class StoredFile(BaseModel):
    """A file, as OpenAI describes it."""

    id: str = Field(description="The id of the file (`file_…`).")
    object: str = Field(description="`file`.")
    bytes: int = Field(description="The size in bytes.")
    created_at: float = Field(description="The time of the upload.")
    expires_at: float | None = Field(description="The time when it is deleted; null for never.")
    filename: str = Field(description="The name of the file.")
    purpose: str = Field(description="What the file is for.")
    status: str = Field(description="`processed` or `error`.")
    status_details: str | None = Field(description="What is wrong with the input of a batch.")
    lines: int | None = Field(description="The number of lines of the input of a batch.")
    shape: str = Field(alias="_shape", description="`openai`.")


class StoredFilePage(BaseModel):
    """A page of files."""

    object: str = Field(description="`list`.")
    data: list[StoredFile] = Field(description="The files.")
    first_id: str | None = Field(description="The id of the first file of the page.")
    last_id: str | None = Field(description="The last id: `after` of the next page.")
    has_more: bool = Field(description="Whether there is a next page.")
    cursor: str | None = Field(description="The `cursor` of the next page.")
    shape: str = Field(alias="_shape", description="`openai`.")


class DeletedFile(BaseModel):
    """The file that was deleted."""

    id: str = Field(description="The id of the file.")
    object: str = Field(description="`file`.")
    deleted: bool = Field(description="True.")
    shape: str = Field(alias="_shape", description="`openai`.")
