"""The data directory, which is its owner's alone: prompts and keys are in it."""

import contextlib
import stat
from pathlib import Path

MARKS = ("waybill.db", "lock", "secret_key", "files", "valkey.sock")
"""A directory with one of these in it holds our data and nobody else's."""


def make(path: Path) -> None:
    """Make the directory, or close an earlier one to others. Raises SystemExit where that fails."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from None
    close(path)


def close(path: Path) -> None:
    """Close a directory that others on this machine can read.

    One that holds other files is not ours to close, and is refused with SystemExit. Rights of its
    group alone were given on purpose and stay.
    """
    if not is_open(path):
        return
    if is_ours(path):
        with contextlib.suppress(PermissionError):
            path.chmod(0o700)
            return  # some file systems keep no rights: `waybill doctor` says so
    raise SystemExit(f"waybill: {exposed(path)}")


def is_open(path: Path) -> bool:
    """Tell whether others than the owner and the group have rights here."""
    return bool(path.stat().st_mode & stat.S_IRWXO)


def is_ours(path: Path) -> bool:
    """Tell whether a directory is empty or holds our data, and is not shared like /tmp."""
    if path.stat().st_mode & stat.S_ISVTX:
        return False
    try:
        names = {each.name for each in path.iterdir()}
    except OSError:
        return False
    return not names or not names.isdisjoint(MARKS)


def exposed(path: Path) -> str:
    return (
        f"others on this machine can read the data directory {path}, where prompts and keys are: "
        f"`chmod 700 {path}`, or choose another with WAYBILL_DATA_DIR"
    )


def unwritable(path: Path, error: OSError) -> SystemExit:
    return SystemExit(
        f"waybill: the data directory {path} cannot be written ({error.strerror}): choose "
        "another with WAYBILL_DATA_DIR"
    )
