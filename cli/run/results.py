"""The results file of `waybill run`: one JSON line for each input line that has ended."""

import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import orjson

from broker.completion import Json
from broker.states import JobState
from cli.run.file import Line


class ResultsError(Exception):
    """The results file cannot be used; the text says why."""


class Results:
    """A results file held by this process alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: dict[int, Json] = {}  # line number → its result
        self._file: BinaryIO

    def __enter__(self) -> Self:
        try:
            self._file = self.path.open("a+b")
        except OSError as error:
            raise ResultsError(f"{self.path} cannot be written: {error.strerror}") from None
        try:
            _lock(self._file, self.path)
            self._read()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def remaining(self, lines: Iterable[Line]) -> list[Line]:
        """Return the lines without a result. Raises ResultsError for results of other lines."""
        left = []
        for line in lines:
            result = self.done.get(line.number)
            if result is None:
                left.append(line)
            elif result.get("input") != line.digest:
                raise ResultsError(
                    f"line {line.number} is not the one whose result {self.path} holds "
                    f"(custom_id {result.get('custom_id')!r}): choose another -o"
                )
        return left

    def add(self, result: Json) -> None:
        """Write a result: from here on its line is done."""
        self._file.write(orjson.dumps(result) + b"\n")
        self._file.flush()
        self.done[result["line"]] = result

    def failed(self) -> list[int]:
        """Return the numbers of the lines that brought no answer."""
        return [n for n, result in self.done.items() if result["status"] != JobState.COMPLETED]

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget these results. Should this be cut short, they are fetched again at no cost."""
        for number in numbers:
            self.done.pop(number)
        self._file.truncate(0)
        self._file.write(b"".join(orjson.dumps(result) + b"\n" for result in self.done.values()))
        self._file.flush()

    def _read(self) -> None:
        """Read what is there; a last line that a crash cut off is cut off for good."""
        self._file.seek(0)
        whole = 0
        for number, text in enumerate(self._file, start=1):
            if not text.endswith(b"\n"):
                break
            try:
                result = orjson.loads(text)
                self.done[result["line"]] = result
            except (orjson.JSONDecodeError, TypeError, KeyError):
                raise ResultsError(
                    f"{self.path}, line {number}, is no result of `waybill run`: choose another -o"
                ) from None
            whole += len(text)
        self._file.truncate(whole)


def result_of_job(line: Line, job: Json) -> Json:
    """Return the result line of a job that has ended. `latency_ms` is of its last attempt."""
    attempts = job["attempts"]
    outcome = {"response": job["response"]} if "response" in job else {"error": job.get("error")}
    return {
        "custom_id": line.custom_id,
        "line": line.number,
        "input": line.digest,
        "job_id": job["id"],
        "status": job["status"],
        **outcome,
        "model": job["model"],
        "provider": attempts[-1]["provider"] if attempts else job["provider"],
        "attempts": len(attempts),
        "cost": job["usage"]["cost"] if job["usage"] else 0.0,
        "latency_ms": attempts[-1]["duration_ms"] if attempts else None,
    }


def result_of_refusal(line: Line, message: str, status: int | None) -> Json:
    """Return the result line of a request that was not accepted as a job."""
    return {
        "custom_id": line.custom_id,
        "line": line.number,
        "input": line.digest,
        "job_id": None,
        "status": "refused",
        "error": {"message": message, "http_status": status},
        "model": line.body.get("model"),
        "provider": None,
        "attempts": 0,
        "cost": 0.0,
        "latency_ms": None,
    }


def _lock(file: BinaryIO, path: Path) -> None:
    if sys.platform == "win32":
        return
    import fcntl  # noqa: PLC0415  # not on Windows

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ResultsError(f"another `waybill run` is writing {path}") from None
