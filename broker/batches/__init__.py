"""Batches: a file of requests, each line an ordinary job, and two files of results at the end.

In reading order: `options` (states, limits, options), `lines` (the input), `creation` (a row for
it), `reading` and `line_submission` (lines become jobs as far as limits allow, and the cursor),
`reports` and `view` (the batch), `results` and `assembly` (the result files), `endings` (stopping,
ending, deletion), `forecast` (cost and duration, estimated).
"""

from broker.batches.assembly import Assembler
from broker.batches.creation import BatchOptions, Created, NewBatch, insert_batch, new_batch
from broker.batches.endings import (
    BatchEnd,
    begin_finalizing,
    cancel_jobs,
    delete_batch,
    end_batch,
    stop_batch,
)
from broker.batches.line_submission import Group, Taken, budget, give_back, insert_lines, let_in
from broker.batches.lines import Findings, Inspector
from broker.batches.options import OnError, Options, Wait
from broker.batches.reading import Reader, options_of
from broker.batches.reports import BatchPage, BatchReport
from broker.enums import BatchState, StopReason

__all__ = [
    "Assembler",
    "BatchEnd",
    "BatchOptions",
    "BatchPage",
    "BatchReport",
    "BatchState",
    "Created",
    "Findings",
    "Group",
    "Inspector",
    "NewBatch",
    "OnError",
    "Options",
    "Reader",
    "StopReason",
    "Taken",
    "Wait",
    "begin_finalizing",
    "budget",
    "cancel_jobs",
    "delete_batch",
    "end_batch",
    "give_back",
    "insert_batch",
    "insert_lines",
    "let_in",
    "new_batch",
    "options_of",
    "stop_batch",
]
