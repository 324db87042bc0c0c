"""Texts of documents that OCR has read."""

from typing import Any, ClassVar

from sqlalchemy import Column, Index, LargeBinary
from sqlmodel import Field

from broker.storage.tables.columns import TableModel, big


class DocumentReading(TableModel, table=True):
    """The texts of a document's pages by OCR. It is deleted with the prompt of its job."""

    __tablename__: ClassVar[Any] = "document_readings"
    __table_args__: ClassVar[Any] = (Index("ix_document_readings_key", "workspace_id", "key"),)

    job_id: str = Field(primary_key=True, foreign_key="jobs.id")
    key: str = Field(primary_key=True)  # digest of the document, the engine and the pages
    workspace_id: str
    texts: bytes = Field(sa_column=Column(LargeBinary, nullable=False))  # JSON, zlib
    created_at: int = Field(sa_column=big())
