"""The data directory. Only its owner may read it, because it contains prompts and keys."""

import contextlib
import stat
from pathlib import Path

MARKS = ("waybill.db", "lock", "secret_key", "files", "valkey.sock")
"""A directory that contains one of these names is a data directory of Waybill."""


def make(path: Path) -> None:
    """Create the directory, or close an existing one. Raises SystemExit on failure."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from None
    close(path)


def close(path: Path) -> None:
    """Remove the rights of other users from a directory.

    The rights of its group stay. Raises SystemExit for a directory that also contains other files.
    """
    if not is_open(path):
        return
    if is_ours(path):
        with contextlib.suppress(PermissionError):
            path.chmod(0o700)
            return  # some file systems store no rights: `waybill doctor` reports it
    raise SystemExit(f"waybill: {exposed(path)}")


def is_open(path: Path) -> bool:
    """Return True where users other than the owner and the group have rights."""
    return bool(path.stat().st_mode & stat.S_IRWXO)


def is_ours(path: Path) -> bool:
    """Return True where a directory is empty or contains our data, and is not shared like /tmp."""
    if path.stat().st_mode & stat.S_ISVTX:
        return False
    try:
        names = {each.name for each in path.iterdir()}
    except OSError:
        return False
    return not names or not names.isdisjoint(MARKS)


def exposed(path: Path) -> str:
    return (
        f"other users of this machine can read the data directory {path} with its prompts and "
        f"keys: `chmod 700 {path}`, or choose another with WAYBILL_DATA_DIR"
    )


def unwritable(path: Path, error: OSError) -> SystemExit:
    return SystemExit(
        f"waybill: the data directory {path} cannot be written ({error.strerror}): choose "
        "another with WAYBILL_DATA_DIR"
    )
