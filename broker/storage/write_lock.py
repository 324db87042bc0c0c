"""SQLite's one writer at a time, in turns: who waits is next.

SQLite itself only lets a process look again after a pause of up to 100 ms, and a busy one takes the
lock again in much less: the other would wait for seconds. Here whoever wants to write first stands
at the door, where there is room for one, and so goes before whoever has just written. Locks of the
operating system: they go with the process that held them.

Turns are a courtesy. Where a process is stopped in the middle of its own, the others go on without
after a while, and SQLite's lock decides, which waits for so long and no longer.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from typing import TextIO

WANTED_SECONDS = 0.2
TURN_SECONDS = 1.0  # how long a turn is waited for


class WriteLock:
    """Turns of one process at writing to the database at `path`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._wanted_at = -WANTED_SECONDS
        self._left: threading.Thread | None = None  # waits on for what nobody waits for any more

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the turn; blocks while others are before us, up to a time."""
        own = self._taken(blocking=False) or self._awaited()
        if own is None:
            yield
            return
        with own:
            yield
            if self._is_somebody_at_the_door():
                self._wanted_at = time.monotonic()

    def are_wanted(self) -> bool:
        """Tell whether another process had to wait for us a moment ago."""
        return time.monotonic() - self._wanted_at < WANTED_SECONDS

    def _awaited(self) -> TextIO | None:
        """Return our turn once it has come; None where it does not come in time.

        No lock can be waited for up to a time: so a thread waits, and is left to it.
        """
        if self._left is not None and self._left.is_alive():
            return None
        turns: queue.SimpleQueue[TextIO | None] = queue.SimpleQueue()
        thread = threading.Thread(
            target=lambda: turns.put(self._taken(blocking=True)), name="turn", daemon=True
        )
        thread.start()
        try:
            return turns.get(timeout=TURN_SECONDS)
        except queue.Empty:
            self._left = thread  # what it gets in the end is closed with the queue, unread
            return None

    def _taken(self, *, blocking: bool) -> TextIO | None:
        """Pass the door and return our turn, which is over as the file is closed."""
        own = self._open("turn")
        with self._open("door") as door:
            if _lock(door, blocking=blocking) and _lock(own, blocking=blocking):
                return own
        own.close()
        return None

    def _is_somebody_at_the_door(self) -> bool:
        with self._open("door") as door:
            return not _lock(door, blocking=False)

    def _open(self, name: str) -> TextIO:
        return open(f"{self._path}-{name}", "w")  # noqa: PTH123  # hot


def _lock(file: TextIO, *, blocking: bool) -> bool:
    """Lock a file for us until it is closed; False where others have it, unless we block."""
    import fcntl  # noqa: PLC0415  # not on Windows

    try:
        fcntl.flock(file, fcntl.LOCK_EX if blocking else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
