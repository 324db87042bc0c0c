"""The data directory, which is its owner's alone: prompts and keys are in it."""

from pathlib import Path


def make(path: Path) -> None:
    """Make the directory where it is not there. Raises SystemExit where that fails."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from None


def unwritable(path: Path, error: OSError) -> SystemExit:
    return SystemExit(
        f"waybill: the data directory {path} cannot be written ({error.strerror}): choose "
        "another with WAYBILL_DATA_DIR"
    )
