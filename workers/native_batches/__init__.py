"""Native batches: jobs run by providers' batch APIs, at half the price for callers who can wait.

Read in this order: `base` (the interface), `jsonl_files`, `anthropic`, `gemini` (batch APIs),
`registry`, `calls` (HTTP calls, and the search for batches whose creation was not confirmed),
`lines` (jobs as lines), `booking` (the result of a line), `batch_record` (the row of a batch),
`step` (its next step), `keeper` (the service).
"""

from workers.native_batches.keeper import NativeBatchKeeper

__all__ = ["NativeBatchKeeper"]
