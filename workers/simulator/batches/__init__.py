"""Batch APIs: OpenAI's files and batches, Anthropic's message batches. `GET /_batches` lists both.

The model of its first line decides the outcome of a batch. `sim-batchlat2000` takes two seconds,
and `sim-batchfail20` fails a fifth of its lines. `sim-batchexpire` and `sim-batchquota` fail (the
latter once). `sim-batchdrop` and `sim-batchlose` reset the connection, and only the first one
accepts the batch. `sim-batchmute` accepts the batch and never answers.
"""

from workers.simulator.batches.routes import BatchRoutes

__all__ = ["BatchRoutes"]
