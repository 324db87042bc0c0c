"""Classification of providers' failures, by one table for all wires.

`classification` is the entry; `body` finds message and codes, `rules` names the error type, and
`retry_after` reads how long to wait.
"""

from workers.adapters.errors.classification import read_error, read_reported_error

__all__ = ["read_error", "read_reported_error"]
