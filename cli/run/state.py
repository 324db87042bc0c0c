"""What makes a run the same run when it is started again: its batches, kept beside the results.

A batch is written down before it is asked for, with the key that it is asked for under. So
whatever dies, and whenever, asking again gives the batch that is there already.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from broker.completion import Json
from broker.ids import new_id
from cli.commands.batch.source import Line


class RunError(Exception):
    """The run cannot go on; the text says why, and what to do."""


@dataclass(slots=True)
class Part:
    """One batch of a run: which lines it asks, and how far its making has come."""

    key: str  # the Idempotency-Key
    lines: list[int]  # numbers
    digest: str  # of their content
    wish: Json  # what is asked of the batch as a whole
    file_id: str | None = None  # the uploaded input
    batch_id: str | None = None

    def of(self, lines: Mapping[int, Line]) -> list[Line]:
        """Return this part's lines out of the input's. Raises RunError where they changed."""
        found = [lines[number] for number in self.lines if number in lines]
        if digest(found) != self.digest:
            asked = self.batch_id or "a batch"
            raise RunError(
                f"the input is not the one that {asked} was made of: go on with that one, or "
                "choose another -o"
            )
        return found


class RunState:
    """The file `<results>.run`."""

    def __init__(self, results: Path) -> None:
        self.path = results.with_name(results.name + ".run")
        self.parts: list[Part] = []
        try:
            self.parts = [Part(**kept) for kept in orjson.loads(self.path.read_bytes())["parts"]]
        except FileNotFoundError:
            pass
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise RunError(
                f"{self.path} is not the state of a run: choose another -o, or delete it"
            ) from None

    def begin(self, lines: Sequence[Line], wish: Json) -> Part:
        """Write down a part that is asked for next."""
        numbers = [line.number for line in lines]
        part = Part(new_id("run_"), numbers, digest(lines), wish)
        self.parts.append(part)
        self.save()
        return part

    def drop(self, part: Part) -> None:
        """Forget a part that the server refused; where there is no other, nothing is left of it."""
        self.parts.remove(part)
        if self.parts:
            self.save()
        else:
            self.path.unlink(missing_ok=True)

    def save(self) -> None:
        """Write the state; it is on the disk before this returns."""
        beside = self.path.with_name(self.path.name + ".new")
        with beside.open("wb") as file:
            file.write(orjson.dumps({"parts": [asdict(part) for part in self.parts]}))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)


def digest(lines: Sequence[Line]) -> str:
    """Return a digest of the lines' content."""
    return hashlib.sha256("".join(line.digest for line in lines).encode()).hexdigest()
