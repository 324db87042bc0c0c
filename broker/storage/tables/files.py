"""Files: rows here, bytes in the file store."""

from typing import Any, ClassVar

from sqlalchemy import Column, Index, Text
from sqlmodel import Field

from broker.enums import FilePurpose
from broker.storage.tables.columns import TableModel, big, enumeration, partial_index

_EXPIRING = "expires_at IS NOT NULL"


class StoredFile(TableModel, table=True):
    """Bytes that a caller uploaded, or that an answer or a batch brought; kept under this id."""

    __tablename__: ClassVar[Any] = "files"
    __table_args__: ClassVar[Any] = (
        Index("ix_files_workspace", "workspace_id", "id"),
        partial_index("ix_files_expiry", "expires_at", where=_EXPIRING),
    )

    id: str = Field(primary_key=True)  # file_…
    workspace_id: str
    api_key_id: str | None = None  # whose it is; None: of nobody in particular
    job_id: str | None = Field(default=None, index=True)  # whose answer refers to it
    purpose: FilePurpose = Field(
        default=FilePurpose.JOB_OUTPUT,
        sa_column=enumeration(FilePurpose, default=FilePurpose.JOB_OUTPUT),
    )
    filename: str | None = None
    media_type: str
    bytes: int
    lines: int | None = None  # of a batch's input: requests in it
    problems: str | None = Field(default=None, sa_column=Column(Text))  # JSON list of {line, …}
    created_at: int = Field(sa_column=big())
    expires_at: int | None = Field(default=None, sa_column=big(nullable=True))
