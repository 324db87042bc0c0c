"""The life of a batch at a provider, as rows. What is sent and read is `workers.native_batches`.

    submitting ──► creating ──► running ──► ended
        ▲             │ └─────► in_doubt ──► ended
        └─────────────┘

`submitting`: its jobs are claimed, nothing that costs was sent. `creating`: the call that makes the
provider accept it is about to be sent, or was, and no answer is on record: from here on it is
looked for before anything is sent again. `running`: the provider's name for it is known.
`in_doubt`: it was looked for in vain, and its jobs went where their `on_unknown` sends them; should
it appear after all, it is called off there.

Every step is taken under a lease on the row, so any number of processes may look.
"""

from broker.enums import NativeBatchState
from broker.native_batches.collection import Collect, collect_jobs
from broker.native_batches.lines import (
    Called,
    ended_early,
    known_upstream,
    open_among,
    open_count,
    open_jobs,
)
from broker.native_batches.steps import (
    RELEASED,
    Glance,
    NativeBatchRow,
    delete_old,
    glance,
    hurry,
    save_batch,
    take_batch,
)

__all__ = [
    "RELEASED",
    "Called",
    "Collect",
    "Glance",
    "NativeBatchRow",
    "NativeBatchState",
    "collect_jobs",
    "delete_old",
    "ended_early",
    "glance",
    "hurry",
    "known_upstream",
    "open_among",
    "open_count",
    "open_jobs",
    "save_batch",
    "take_batch",
]
