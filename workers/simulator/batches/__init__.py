"""Batch APIs: OpenAI's files and batches, Anthropic's message batches. `GET /_batches` lists both.

What becomes of a batch says the model of its first line: `sim-batchlat2000` takes two seconds,
`sim-batchfail20` fails a fifth of its lines, `sim-batchexpire` and `sim-batchquota` come to nothing
(the latter once), `sim-batchdrop` is accepted without a word: the connection is reset, and so it is
for `sim-batchlose`, which is not accepted; `sim-batchmute` is accepted, and the caller never told.
"""

from workers.simulator.batches.routes import BatchRoutes

__all__ = ["BatchRoutes"]
