"""Files: rows here, bytes in the file store."""

from typing import Any, ClassVar

from sqlmodel import Field, SQLModel

from broker.tables.columns import big


class StoredFile(SQLModel, table=True):
    """Bytes that an answer refers to; they are in the file store under this id."""

    __tablename__: ClassVar[Any] = "files"

    id: str = Field(primary_key=True)  # file_…
    workspace_id: str
    job_id: str | None = Field(default=None, index=True)
    media_type: str
    bytes: int
    created_at: int = Field(sa_column=big())
