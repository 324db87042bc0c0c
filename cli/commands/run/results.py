"""The results file of `waybill run`, and the state from which an interrupted run continues.

Each result is one JSON line for an input line; the state names the run's batches.
"""

import hashlib
import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import orjson

from broker.batches.prompt_files import Line
from broker.completion import Json
from broker.ids import new_id


class RunError(Exception):
    """The run cannot continue; the text is the reason and the remedy."""


@dataclass(slots=True)
class RunPart:
    """One batch of a run: its lines, and the steps of its creation that are done."""

    key: str  # the Idempotency-Key
    lines: list[int]  # numbers
    digest: str  # of their content
    options: Json  # fields of POST /batches
    file_id: str | None = None  # the uploaded input
    batch_id: str | None = None

    def of(self, lines: Mapping[int, Line]) -> list[Line]:
        """Return this part's lines out of the input's. Raises RunError where they changed."""
        found = [lines[number] for number in self.lines if number in lines]
        if digest(found) != self.digest:
            batch = self.batch_id or "a batch"
            raise RunError(
                f"the input is not the one of {batch}: continue with that input, or "
                "choose another -o"
            )
        return found


STORED_OPTIONS = "wish"
"""The name of `RunPart.options` in state files."""


def _read_part(stored: Json) -> RunPart:
    options = stored.pop(STORED_OPTIONS)
    return RunPart(**stored, options=options)


def _dump_part(part: RunPart) -> Json:
    stored = asdict(part)
    stored[STORED_OPTIONS] = stored.pop("options")
    return stored


class RunState:
    """The file `<results>.run`."""

    def __init__(self, results: Path) -> None:
        self.path = results.with_name(results.name + ".run")
        self.parts: list[RunPart] = []
        try:
            self.parts = [
                _read_part(each) for each in orjson.loads(self.path.read_bytes())["parts"]
            ]
        except FileNotFoundError:
            pass
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise RunError(
                f"{self.path} is not the state of a run: choose another -o, or delete it"
            ) from None

    def begin(self, lines: Sequence[Line], options: Json) -> RunPart:
        """Store the next part, before it is submitted."""
        numbers = [line.number for line in lines]
        part = RunPart(new_id("run_"), numbers, digest(lines), options)
        self.parts.append(part)
        self.save()
        return part

    def drop(self, part: RunPart) -> None:
        """Remove a part that the server refused; without parts, remove the file."""
        self.parts.remove(part)
        if self.parts:
            self.save()
        else:
            self.path.unlink(missing_ok=True)

    def save(self) -> None:
        """Write the state; it is on the disk before this returns."""
        new_file = self.path.with_name(self.path.name + ".new")
        with new_file.open("wb") as file:
            file.write(orjson.dumps({"parts": [_dump_part(part) for part in self.parts]}))
            file.flush()
            os.fsync(file.fileno())
        new_file.replace(self.path)


def digest(lines: Sequence[Line]) -> str:
    """Return a digest of the lines' content."""
    return hashlib.sha256("".join(line.digest for line in lines).encode()).hexdigest()


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
            self.path.unlink(missing_ok=True)  # it has no result

    def remaining(self, lines: Iterable[Line]) -> list[Line]:
        """Return the lines without a result. Raises RunError for results of other lines."""
        remaining = []
        for line in lines:
            result = self.done.get(line.number)
            if result is None:
                remaining.append(line)
            elif result.get("input") != line.digest:
                raise RunError(
                    f"line {line.number} is not the one whose result {self.path} holds "
                    f"(custom_id {result.get('custom_id')!r}): choose another -o"
                )
        return remaining

    def add(self, result: Json) -> None:
        """Write a result, which makes its line done."""
        self._file.write(orjson.dumps(result, option=orjson.OPT_APPEND_NEWLINE))
        self._file.flush()
        self._remember(result)

    def failed(self) -> list[int]:
        """Return the numbers of the lines without an answer."""
        return [n for n, result in self.done.items() if result["status"] != "completed"]

    def drop(self, numbers: Collection[int]) -> None:
        """Remove these results. The file contains the others at every moment."""
        if not numbers:
            return
        dropped = set(numbers)
        new_file = self.path.with_name(self.path.name + ".new")
        self._file.seek(0)
        with new_file.open("wb") as file:
            file.writelines(raw for raw in self._file if orjson.loads(raw)["line"] not in dropped)
            file.flush()
            os.fsync(file.fileno())
        self._file.close()
        new_file.replace(self.path)
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
        """Read the file. An incomplete last line, left by a crash, is cut off."""
        self._file.seek(0)
        whole = 0
        for number, text in enumerate(self._file, start=1):
            if not text.endswith(b"\n"):
                break
            try:
                self._remember(orjson.loads(text))
            except (orjson.JSONDecodeError, TypeError, KeyError):
                raise RunError(
                    f"{self.path}, line {number}, is no result of `waybill run`: choose another -o"
                ) from None
            whole += len(text)
        self._file.truncate(whole)

    def _remember(self, result: Json) -> None:
        stored = {name: result[name] for name in ("custom_id", "input", "job_id", "status")}
        self.done[result["line"]] = stored


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
