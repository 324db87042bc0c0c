"""The results file of `waybill run`: one JSON line for each input line that was run."""

import os
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import orjson

from broker.completion import Json
from cli.commands.batch.source import Line
from cli.run.state import RunError

OK = 200


class Results:
    """A results file held by this process alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: dict[int, Json] = {}  # line number → its result, without the answer
        self._file: BinaryIO
        self._is_new = not path.exists()

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if error is not None and self._is_new and not self.done:
            self.path.unlink(missing_ok=True)  # nothing came of it

    def remaining(self, lines: Iterable[Line]) -> list[Line]:
        """Return the lines without a result. Raises RunError for results of other lines."""
        left = []
        for line in lines:
            result = self.done.get(line.number)
            if result is None:
                left.append(line)
            elif result.get("input") != line.digest:
                raise RunError(
                    f"line {line.number} is not the one whose result {self.path} holds "
                    f"(custom_id {result.get('custom_id')!r}): choose another -o"
                )
        return left

    def add(self, result: Json) -> None:
        """Write a result: from here on its line is done."""
        self._file.write(orjson.dumps(result, option=orjson.OPT_APPEND_NEWLINE))
        self._file.flush()
        self._note(result)

    def failed(self) -> list[int]:
        """Return the numbers of the lines that brought no answer."""
        return [n for n, result in self.done.items() if result["status"] != "completed"]

    def drop(self, numbers: Collection[int]) -> None:
        """Forget these results; the others are in the file at every moment."""
        if not numbers:
            return
        gone = set(numbers)
        beside = self.path.with_name(self.path.name + ".new")
        self._file.seek(0)
        with beside.open("wb") as file:
            file.writelines(raw for raw in self._file if orjson.loads(raw)["line"] not in gone)
            file.flush()
            os.fsync(file.fileno())
        self._file.close()
        beside.replace(self.path)
        self.done.clear()
        self._open()

    def _open(self) -> None:
        try:
            self._file = self.path.open("a+b")
        except OSError as error:
            raise RunError(f"{self.path} cannot be written: {error.strerror}") from None
        try:
            _lock(self._file, self.path)
            self._read()
        except BaseException:
            self._file.close()
            raise

    def _read(self) -> None:
        """Read what is there; a last line that a crash cut off is cut off for good."""
        self._file.seek(0)
        whole = 0
        for number, text in enumerate(self._file, start=1):
            if not text.endswith(b"\n"):
                break
            try:
                self._note(orjson.loads(text))
            except (orjson.JSONDecodeError, TypeError, KeyError):
                raise RunError(
                    f"{self.path}, line {number}, is no result of `waybill run`: choose another -o"
                ) from None
            whole += len(text)
        self._file.truncate(whole)

    def _note(self, result: Json) -> None:
        kept = {name: result[name] for name in ("custom_id", "input", "job_id", "status")}
        self.done[result["line"]] = kept


def result_of(line: Line, found: Json) -> Json | None:
    """Return the result line of a batch's result; None where the line was not run."""
    response = found["response"]
    if response is None:
        return None
    body = response["body"]
    is_good = response["status_code"] == OK and not body.get("error")
    return {
        "custom_id": line.custom_id,
        "line": line.number,
        "input": line.digest,
        "job_id": response["request_id"],
        "status": "completed" if is_good else "failed",
        **({"response": body} if is_good else {"error": body["error"]}),
        "model": body.get("model"),
        "provider": body.get("provider"),
        "cost": (body.get("usage") or {}).get("cost", 0.0),
    }


def _lock(file: BinaryIO, path: Path) -> None:
    if sys.platform == "win32":
        return
    import fcntl  # noqa: PLC0415  # not on Windows

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise RunError(f"another `waybill run` is writing {path}") from None
