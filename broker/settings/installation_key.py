"""Read the key that encrypts and signs for this installation, or make one at the first start."""

import contextlib
import os
import secrets
from pathlib import Path

from broker.settings import Settings


def signing_key(settings: Settings) -> bytes:
    """Return the key that signs links: `secret_key`, or one made once and kept in `data_dir`.

    Processes on several machines must be given the same `secret_key`.
    """
    if settings.secret_key:
        return settings.secret_key.encode()
    path = settings.data_dir / "secret_key"
    if not path.exists():
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_key(path)
    return path.read_bytes()


def older_keys(settings: Settings) -> list[bytes]:
    """Return the former secret keys. They decrypt what is not rotated to the new key yet."""
    return [key.encode() for key in settings.old_secret_keys]


def _make_key(path: Path) -> None:
    """Make the file, whole: a process that starts at the same time must not read half of it."""
    draft = path.with_name(f"secret_key.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_urlsafe(32).encode())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # the first one stays
    finally:
        draft.unlink()
