"""SQLite's one writer at a time, in turns: who waits is next.

SQLite itself only lets a process look again after a pause of up to 100 ms, and a busy one takes the
lock again in much less: the other would wait for seconds. Here whoever wants to write first stands
at the door, where there is room for one, and so goes before whoever has just written. Locks of the
operating system: they go with the process that held them.
"""

import contextlib
import time
from collections.abc import Iterator
from typing import TextIO

WANTED_SECONDS = 0.2


class Turns:
    """Turns of one process at writing to the database at `path`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._wanted_at = -WANTED_SECONDS

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the turn; blocks as long as others are before us."""
        import fcntl  # noqa: PLC0415  # not on Windows

        with open(f"{self._path}-door", "w") as door, open(f"{self._path}-turn", "w") as own:  # noqa: PTH123  # hot
            fcntl.flock(door, fcntl.LOCK_EX)
            fcntl.flock(own, fcntl.LOCK_EX)
            fcntl.flock(door, fcntl.LOCK_UN)
            yield
            if _is_occupied(door):
                self._wanted_at = time.monotonic()

    def are_wanted(self) -> bool:
        """Tell whether another process had to wait for us a moment ago."""
        return time.monotonic() - self._wanted_at < WANTED_SECONDS


def _is_occupied(door: TextIO) -> bool:
    import fcntl  # noqa: PLC0415  # not on Windows

    try:
        fcntl.flock(door, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(door, fcntl.LOCK_UN)
    return False
