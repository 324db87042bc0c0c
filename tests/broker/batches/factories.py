"""Makes batches and moves their lines, without any file: time is a number, never the clock."""

from broker import batches
from broker.batches import BatchOptions, Group, Options, StopReason, new_batch, reports
from broker.batches.line_submission import ReadLine
from broker.batches.reports import find_batch
from broker.enums import FilePurpose
from broker.ids import new_id
from broker.queues import Lane
from broker.requests.operations import Operation
from broker.storage import files
from tests.factories import HOLD, NOW, claim_one, finished, make_new_job, record, write

LINE_BYTES = 100


def make_file(database, caller, *, lines=3, size=None, purpose=FilePurpose.BATCH, **more):
    row = files.FileRow(
        *(new_id("file_"), caller.workspace_id, purpose, size or lines * LINE_BYTES, NOW),
        lines=lines,
        **more,
    )
    write(database, files.add_upload, files.Upload(row, files.Quota(0, 0)))
    return row.id


def make_batch(database, caller, *, lines=3, options=None, **wish):
    """A batch of so many lines, none of which has been taken in; returns its id."""
    file_id = make_file(database, caller, lines=lines)
    asked = BatchOptions(Operation.CHAT, options=options or Options(), **wish)
    new = new_batch(asked, caller, NOW, input_file_id=file_id)
    created = write(database, batches.insert_batch, new)
    return created.batch_id


def job_line(caller, batch_id, number, *, hold=HOLD, digest=None):
    job = make_new_job(caller, hold=hold, lane=Lane.BATCH, batch_id=batch_id)
    return ReadLine(number * LINE_BYTES, f"line-{number}", job, digest)


def bad_line(number):
    error = '{"status":404,"error":{"message":"no such model"}}'
    return ReadLine(number * LINE_BYTES, f"line-{number}", error=error)


def take_in(database, batch_id, lines, *, budget=None, cursor=None):
    at = batch_row(database, batch_id).cursor if cursor is None else cursor
    return write(database, batches.insert_lines, Group(batch_id, at, lines, budget, NOW))


def taken_in(database, caller, *, lines=3, hold=HOLD, **wish):
    """A batch whose lines are all queued jobs; returns its id and theirs."""
    batch_id = make_batch(database, caller, lines=lines, **wish)
    numbers = range(1, lines + 1)
    take_in(database, batch_id, [job_line(caller, batch_id, n, hold=hold) for n in numbers])
    return batch_id, [line.job_id for line in lines_of(database, batch_id)]


def complete(database, job_id, *, cost=300):
    record(database, finished(claim_one(database, job_id), cost=cost))


def stop(database, batch_id, reason=StopReason.CANCELLED, workspace_id=None):
    return write(database, batches.stop_batch, batch_id, reason, NOW, workspace_id)


def batch_row(database, batch_id):
    return database.read_now(find_batch, batch_id)


def totals(database, batch_id):
    return database.read_now(reports.totals, batch_row(database, batch_id))


def lines_of(database, batch_id):
    return database.read_now(lambda c: reports.lines(c, batch_id, 0, 1000, ended=False))
