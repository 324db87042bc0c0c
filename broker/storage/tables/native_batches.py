"""Batches that Waybill makes at a provider, and the jobs in them.

Rows are written by `broker.native_batches` only. While a job is in one it is `running`, and its
`lease_owner` is the batch.
"""

from typing import Any, ClassVar

from sqlalchemy import Column, Text
from sqlmodel import Field, SQLModel

from broker.storage.tables.columns import big, partial_index

_OPEN = "state IN ('submitting', 'creating', 'running', 'in_doubt')"


class NativeBatch(SQLModel, table=True):
    """One batch at a provider, from the intention to the last line booked."""

    __tablename__: ClassVar[Any] = "native_batches"
    __table_args__: ClassVar[Any] = (
        partial_index("ix_native_batches_due", "next_poll_at", where=_OPEN),
    )

    id: str = Field(primary_key=True)  # nb_…; also the marker that the provider is sent
    provider: str
    native_model: str
    operation: str
    state: str  # see `broker.native_batches`
    lines: int  # jobs it was made of
    upstream_id: str | None = None  # the provider's name for it, once we know it
    input_file_id: str | None = None
    guessed: bool = False  # found again without our marker: it may be somebody else's
    create_sent_at: int | None = Field(default=None, sa_column=big(nullable=True))
    completed: int = 0  # lines with an answer, as the provider counts while it runs
    failed: int = 0
    polls: int = 0  # looks in a row: they become rarer
    next_poll_at: int = Field(sa_column=big())
    give_up_at: int = Field(sa_column=big())  # what has not been answered by then goes elsewhere
    cancel_sent: bool = False
    lease_owner: str | None = None  # who takes its next step
    lease_expires_at: int | None = Field(default=None, sa_column=big(nullable=True))
    error: str | None = Field(default=None, sa_column=Column(Text))
    created_at: int = Field(sa_column=big())
    ended_at: int | None = Field(default=None, sa_column=big(nullable=True))


class NativeLine(SQLModel, table=True):
    """A job's attempt that was made as a line of a provider's batch."""

    __tablename__: ClassVar[Any] = "native_lines"

    native_batch_id: str = Field(primary_key=True, foreign_key="native_batches.id")
    job_id: str = Field(primary_key=True, foreign_key="jobs.id")
    attempt: int
