"""The data directory, which is its owner's alone: prompts and keys are in it."""

import contextlib
from pathlib import Path

OURS = ".waybill"
"""A directory of this name is nobody else's; who names another decides about its rights."""


def make(path: Path) -> None:
    """Make the directory, or close an earlier one to others. Raises SystemExit where that fails."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from None
    if path.name == OURS:
        with contextlib.suppress(PermissionError):
            path.chmod(0o700)


def unwritable(path: Path, error: OSError) -> SystemExit:
    return SystemExit(
        f"waybill: the data directory {path} cannot be written ({error.strerror}): choose "
        "another with WAYBILL_DATA_DIR"
    )
