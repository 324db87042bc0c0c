"""Texts that OCR has read from the documents of jobs, and what that has cost.

A reading belongs to the job that made it, and is deleted with the prompt of that job. Later
attempts of the job find it, so that OCR is paid once; so do other jobs of the workspace if the
job's contents are kept. The cost of a paid reading is added to `jobs.ocr_nanos` in the same
transaction, and is charged at the end of the job, however it ends. OpenRouter's zero-completion
insurance does not cover OCR either.
"""

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson
from sqlalchemy import Connection, bindparam, delete, exists, insert, or_, select

from broker.enums import JobState
from broker.ids import generation_id
from broker.lifecycle.transitions import change, of_attempt
from broker.storage.tables import DocumentReading, Job, table
from broker.usage import GenerationRow

_jobs = table(Job)
_readings = table(DocumentReading)


@dataclass(frozen=True, slots=True)
class ReadingKey:
    """The name of a reading for one job."""

    workspace_id: str
    job_id: str
    key: str  # digest of the document, the engine and the pages


@dataclass(frozen=True, slots=True)
class NewReading:
    """A reading that the running attempt of a job has made."""

    key: ReadingKey
    attempt: int
    texts: Sequence[str]
    cost_nanos: int
    now: int  # Unix ms


class ChargedJob(Protocol):
    """A row of `jobs` with what its OCR has cost, and the columns of its generation."""

    id: str
    workspace_id: str
    attempt: int
    provider: str
    model: str
    stream: bool
    ocr_nanos: int


_ADD_COST = (
    of_attempt(change(JobState.RUNNING))
    .where(
        ~exists().where(
            _readings.c.job_id == bindparam("of_job"), _readings.c.key == bindparam("of_key")
        )
    )
    .values(ocr_nanos=_jobs.c.ocr_nanos + bindparam("cost"))
)


def find_reading(connection: Connection, key: ReadingKey) -> list[str] | None:
    """Return the texts of an earlier reading that the job may use, or None."""
    query = (
        select(_readings.c.texts)
        .join(_jobs, _jobs.c.id == _readings.c.job_id)
        .where(
            _readings.c.workspace_id == key.workspace_id,
            _readings.c.key == key.key,
            or_(_jobs.c.id == key.job_id, _jobs.c.store.is_(None)),
        )
        .limit(1)
    )
    stored: bytes | None = connection.scalar(query)
    if stored is None:
        return None
    texts: list[str] = orjson.loads(zlib.decompress(stored))
    return texts


def store_reading(connection: Connection, reading: NewReading) -> bool:
    """Store a reading and add its cost to that of its job.

    Returns False, and stores nothing, for a job that has the reading already, that another attempt
    runs, or that has ended.
    """
    key = reading.key
    added = connection.execute(
        _ADD_COST,
        {
            "of_job": key.job_id,
            "of_attempt": reading.attempt,
            "of_key": key.key,
            "cost": reading.cost_nanos,
        },
    )
    if not added.rowcount:
        return False
    connection.execute(
        insert(_readings).values(
            job_id=key.job_id,
            key=key.key,
            workspace_id=key.workspace_id,
            texts=zlib.compress(orjson.dumps(list(reading.texts))),
            created_at=reading.now,
        )
    )
    return True


def delete_readings(connection: Connection, job_ids: Collection[str]) -> None:
    """Delete the readings of jobs whose prompts are deleted."""
    if job_ids:
        connection.execute(delete(_readings).where(_readings.c.job_id.in_(job_ids)))


def charge_ocr(job: ChargedJob, generation: GenerationRow | None, now: int) -> GenerationRow:
    """Return the generation of a job that ends, with the cost of its OCR.

    A job without an answer gets a generation of that cost alone.
    """
    if generation is not None:
        return generation._replace(cost_nanos=generation.cost_nanos + job.ocr_nanos)
    return GenerationRow(
        id=generation_id(job.id),
        job_id=job.id,
        workspace_id=job.workspace_id,
        attempt=job.attempt,
        provider=job.provider,
        model=job.model,
        streamed=job.stream,
        cost_nanos=job.ocr_nanos,
        duration_ms=0,
        created_at=now,
    )
