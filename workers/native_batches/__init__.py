"""Batches at providers: half the price for whoever can wait.

Read in this order: `base` (the seam), `jsonl_files`, `mistral`, `anthropic`, `gemini` (a batch API
each), `registry`, `calls` (was it accepted?), `lines` (jobs made into lines), `search` (what went
unheard), `booking` (a line's end), `step` (a batch's next step), `keeper` (the loops).
"""

from workers.native_batches.keeper import NativeBatchKeeper

__all__ = ["NativeBatchKeeper"]
