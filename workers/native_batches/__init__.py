"""Native batches: jobs run by providers' batch APIs, at half the price for callers who can wait.

Read in this order: `base` (the interface), `jsonl_files`, `anthropic`, `gemini` (batch APIs),
`registry`, `calls` (HTTP calls, and the search for batches whose creation was not confirmed),
`lines` (jobs as lines), `booking` (a line's result), `step` (a batch's next step), `keeper` (the
loops).
"""

from workers.native_batches.keeper import NativeBatchKeeper

__all__ = ["NativeBatchKeeper"]
