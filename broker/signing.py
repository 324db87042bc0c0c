"""Signed links: a path that works without a key until it expires."""

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path

from broker.settings import Settings

LINK_SECONDS = 3600


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
    """Return what was `secret_key` before: it opens what was sealed then, until it is rotated."""
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


def is_same(known: str, given: str) -> bool:
    """Compare two texts in a time that does not depend on where they differ."""
    return hmac.compare_digest(known.encode(), given.encode("utf-8", "surrogatepass"))


class Signer:
    """Makes and checks expiring signatures over a name."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def link(self, path: str, name: str, seconds: int = LINK_SECONDS) -> str:
        """Return `path` with an expiry and a signature over `name`."""
        expires = int(time.time()) + seconds
        return f"{path}?expires={expires}&signature={self._signature(name, expires)}"

    def holds(self, name: str, expires: int, signature: str) -> bool:
        """Tell whether the signature is ours and has not expired."""
        expected = self._signature(name, expires)
        return expires > time.time() and is_same(expected, signature)

    def _signature(self, name: str, expires: int) -> str:
        digest = hmac.digest(self._key, f"{name}.{expires}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
