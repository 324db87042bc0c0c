"""Jobs that share one call. A row lives as long as its job waits or runs."""

from typing import Any, ClassVar

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from broker.storage.tables.columns import partial_index


class CoalescedJob(SQLModel, table=True):
    """A job that asked to be one call with its equals: it makes the call, or waits for its end."""

    __tablename__: ClassVar[Any] = "coalesced_jobs"
    __table_args__: ClassVar[Any] = (
        Index("ix_coalesced_jobs_call", "workspace_id", "fingerprint"),
        partial_index(
            "uq_coalesced_jobs_leader", "workspace_id", "fingerprint", where="leads", unique=True
        ),
    )

    job_id: str = Field(primary_key=True, foreign_key="jobs.id")
    workspace_id: str
    fingerprint: str  # of operation and body
    lane: str  # the job's own, should it come to lead
    leads: bool  # makes the call; the others of the same fingerprint wait for it
