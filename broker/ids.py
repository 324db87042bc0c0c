"""Identifiers: a prefix that says what it is, then 26 characters that sort by time of creation.

The body is a ULID (github.com/ulid/spec): 48 bits of milliseconds, 80 random bits, in Crockford's
base 32. Time order keeps B-tree inserts at the right edge of the index.
"""

import os
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
BODY_LENGTH = 26
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]


def new_id(prefix: str) -> str:
    """Return e.g. `job_01K…`: unique, and later ids sort after earlier ones (by millisecond)."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    body = "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])
    return f"{prefix}{body}"


def is_id(prefix: str, value: str) -> bool:
    """Return whether a value could be an id with this prefix."""
    body = value.removeprefix(prefix)
    return body != value and len(body) == BODY_LENGTH and set(body) <= set(_ALPHABET)


def new_job_id() -> str:
    return new_id("job_")


def generation_id(job_id: str) -> str:
    """Return the id of the generation that this job will bring: known before the job has run.

    A job brings one generation at most, so the id can go out in the first stream chunk.
    """
    return f"gen-{job_id.removeprefix('job_')}"


def job_of_generation(generation: str) -> str:
    """Return the id of the job that brings this generation."""
    return f"job_{generation.removeprefix('gen-')}"


def message_id(job_id: str) -> str:
    """Return the id of the message that a job brings, in Anthropic's dialect."""
    return f"msg_{job_id.removeprefix('job_')}"


def message_batch_id(batch_id: str) -> str:
    """Return the id of a batch in Anthropic's dialect."""
    return f"msgbatch_{batch_id.removeprefix('batch_')}"


def batch_of_messages(message_batch: str) -> str:
    """Return the id of the batch with this id in Anthropic's dialect."""
    return f"batch_{message_batch.removeprefix('msgbatch_')}"


def job_of_message(message: str) -> str:
    """Return the id of the job that brings this message."""
    return f"job_{message.removeprefix('msg_')}"
