"""Write a batch's output and error files, a page of lines at a time. Blocking: run in a thread.

Their ids follow from the batch's id. If a process dies while it writes them, another one writes the
same files again.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import orjson

from broker.batches import reports
from broker.batches.lines import LineError, read
from broker.batches.reading import raw_lines
from broker.batches.results import is_good, not_run, result
from broker.batches.rows import BatchRow
from broker.completion import Json
from broker.enums import StopReason
from broker.storage.database import Database
from broker.storage.files import FileStore

PAGE_LINES = 200


@dataclass(slots=True)
class Written:
    """A result file: its id, its bytes and its lines."""

    file_id: str
    size: int = 0
    lines: int = 0


@dataclass(frozen=True, slots=True)
class Assembler:
    """Writes the result files of batches."""

    database: Database
    store: FileStore
    public_url: str

    def write(self, batch: BatchRow) -> tuple[Written, Written]:
        """Write both files and return them. A file without lines is deleted."""
        stem = f"file_{batch.id.removeprefix('batch_')}"
        output, errors = Written(f"{stem}O"), Written(f"{stem}E")
        with contextlib.ExitStack() as stack:
            opened = {each.file_id: self._open(stack, each) for each in (output, errors)}
            for shown in self.results(batch):
                written = output if is_good(shown) else errors
                line = orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE)
                opened[written.file_id].write(line)
                written.size += len(line)
                written.lines += 1
        for written in (output, errors):
            if not written.lines:
                self.store.delete(written.file_id)
        return output, errors

    def results(self, batch: BatchRow) -> Iterator[Json]:
        """Yield the result of every line, in the order of the input."""
        after = 0
        while page := self.database.read_now(reports.lines, batch.id, after, PAGE_LINES):
            for line in page:
                yield result(batch, line, self.public_url)
            after = page[-1].number
        yield from self._unread_lines(batch)

    def _open(self, stack: contextlib.ExitStack, written: Written) -> IO[bytes]:
        return stack.enter_context(self.store.writing(written.file_id))

    def _unread_lines(self, batch: BatchRow) -> Iterator[Json]:
        """Yield the results of lines that were no jobs yet when the batch stopped."""
        if batch.lines_read >= batch.lines_total:
            return
        reason = batch.stop_reason or StopReason.EXPIRED
        number = batch.lines_read
        with contextlib.suppress(FileNotFoundError):  # then their custom_ids are unknown
            for raw, _ in raw_lines(self.store, batch.input_file_id, batch.cursor):
                number += 1
                yield not_run(batch.id, number, _custom_id(raw), reason)


def _custom_id(raw: bytes) -> str | None:
    try:
        return read(raw).custom_id
    except LineError as error:
        return error.custom_id
