"""What makes a run the same run when it is started again: its id, kept beside the results.

Every line is submitted under an Idempotency-Key made of this id, the line's number and its content.
So whatever dies, and whenever, submitting a line again gives the job that is there already.
"""

import hashlib
import os
from pathlib import Path

import orjson

from broker.ids import new_id
from cli.run.file import Line


class RunKey:
    """The identity of a run, in `<results>.run`."""

    def __init__(self, results: Path) -> None:
        self._results = results.resolve()
        self._path = results.with_name(results.name + ".run")
        self.id = ""
        self._again: dict[str, int] = {}  # line number → how often it was asked for anew

    def open(self) -> bool:
        """Take up the run that is there, or begin one; return whether it was there.

        A new id is on the disk before this returns: were it lost later, lines would be paid twice.
        """
        try:
            kept = orjson.loads(self._path.read_bytes())
        except FileNotFoundError:
            self.id = new_id("run_")
            self._save()
            return False
        self.id, self._again = kept["run"], kept.get("again", {})
        return True

    def ask_anew(self, numbers: list[int]) -> None:
        """Give these lines new keys: their next submission is a new job."""
        for number in numbers:
            self._again[str(number)] = self._again.get(str(number), 0) + 1
        self._save()

    def of(self, line: Line) -> str:
        """Return the Idempotency-Key of a line."""
        again = self._again.get(str(line.number), 0)
        parts = [self.id, str(self._results), str(line.number), line.digest, str(again)]
        return f"run-{hashlib.sha256(orjson.dumps(parts)).hexdigest()[:48]}"

    def _save(self) -> None:
        beside = self._path.with_name(self._path.name + ".new")
        with beside.open("wb") as file:
            file.write(orjson.dumps({"run": self.id, "again": self._again}))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
