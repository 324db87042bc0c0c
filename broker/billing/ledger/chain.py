"""The hash of an entry: over the hash before it and all that it says. Pure."""

import hashlib
from typing import Any

import orjson

FIRST = ""  # what stands before the first entry of a workspace


def link(previous: str, sequence: int, entry: Any) -> str:
    """Return SHA-256, in hex, over the previous hash and this entry as a JSON list."""
    content = orjson.dumps(
        [
            previous,
            sequence,
            entry.id,
            entry.workspace_id,
            entry.api_key_id,
            entry.job_id,
            entry.kind,
            entry.attempt,
            entry.amount_nanos,
            entry.held_nanos,
            entry.reference,
            entry.created_at,
        ]
    )
    return hashlib.sha256(content).hexdigest()
