"""SQLite's one writer at a time, in turns: who waits is next.

SQLite itself only lets a process look again after a pause of up to 100 ms, and a busy one takes the
lock again in much less: the other would wait for seconds. Here whoever wants to write first stands
at the door, where there is room for one, and so goes before whoever has just written. Locks of the
operating system: they go with the process that held them.
"""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def turn(path: str) -> Iterator[None]:
    """Hold the turn to write to the database at `path`; blocks as long as others are before us."""
    import fcntl  # noqa: PLC0415  # not on Windows

    with open(f"{path}-door", "w") as door, open(f"{path}-turn", "w") as own:  # noqa: PTH123  # hot
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(own, fcntl.LOCK_EX)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield
