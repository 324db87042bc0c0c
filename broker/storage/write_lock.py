"""SQLite's one writer at a time, in turns: the process that waits is next.

SQLite itself only lets a process look again after a pause of up to 100 ms, and a busy one takes the
lock again in much less: the other would wait for seconds. Here a process that wants to write first
takes the lock "door", which one can have, and so goes before the process that has just written.
Both are locks of the operating system: they end with the process that held them.

Turns are a courtesy. While a process is stopped in the middle of its own, the others write without
a turn, and SQLite's own lock decides.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator

WANTED_SECONDS = 0.2
TURN_SECONDS = 1.0
"""The longest wait for a turn."""

FIRST_PAUSE_SECONDS = 0.000_1
LAST_PAUSE_SECONDS = 0.002
"""Pauses between two looks at a lock: no lock of a file can be waited for up to a time."""


class WriteLock:
    """The turns of one process at writing to the database at `path`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._mutex = threading.Lock()  # a file that is locked is locked for all threads
        self._files: tuple[int, int] | None = None  # "turn" and "door", opened at the first turn
        self._wanted_at = -WANTED_SECONDS
        self._is_stuck = False  # the last turn did not come in time

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the turn; blocks while others are before us, up to a time."""
        has_mutex = self._mutex.acquire(timeout=0 if self._is_stuck else TURN_SECONDS)
        try:
            turn, door = self._open() if has_mutex else (0, 0)
            has_turn = has_mutex and self._take(turn, door)
            self._is_stuck = not has_turn
            try:
                yield
            finally:
                if has_turn:
                    self._end(turn, door)
        finally:
            if has_mutex:
                self._mutex.release()

    def are_wanted(self) -> bool:
        """Return whether another process had to wait for us a moment ago."""
        return time.monotonic() - self._wanted_at < WANTED_SECONDS

    def close(self) -> None:
        """Close the files, after the last turn."""
        with self._mutex:
            for file in self._files or ():
                os.close(file)
            self._files = None

    def _take(self, turn: int, door: int) -> bool:
        """Take the door, then the turn. Return False when that takes too long."""
        until = time.monotonic() + (0 if self._is_stuck else TURN_SECONDS)
        if not _lock_until(door, until):
            return False
        try:
            return _lock_until(turn, until)
        finally:
            _unlock(door)

    def _end(self, turn: int, door: int) -> None:
        if _lock(door):
            _unlock(door)
        else:  # another process is waiting
            self._wanted_at = time.monotonic()
        _unlock(turn)

    def _open(self) -> tuple[int, int]:
        if self._files is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._files = (
                os.open(f"{self._path}-turn", flags, 0o600),
                os.open(f"{self._path}-door", flags, 0o600),
            )
        return self._files


def _lock_until(file: int, until: float) -> bool:
    """Lock a file; return False when others have it until then (a time of `time.monotonic`)."""
    pause = FIRST_PAUSE_SECONDS
    while not _lock(file):
        if time.monotonic() >= until:
            return False
        time.sleep(pause)
        pause = min(pause * 2, LAST_PAUSE_SECONDS)
    return True


def _lock(file: int) -> bool:
    """Lock a file; return False when others have it."""
    import fcntl  # noqa: PLC0415  # not on Windows

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(file: int) -> None:
    import fcntl  # noqa: PLC0415  # not on Windows

    fcntl.flock(file, fcntl.LOCK_UN)
