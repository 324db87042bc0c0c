"""Signed links: a path that works without a key until it expires."""

import base64
import hashlib
import hmac
import time

LINK_SECONDS = 3600


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
        """Return whether the signature is ours and has not expired."""
        expected = self._signature(name, expires)
        return expires > time.time() and is_same(expected, signature)

    def _signature(self, name: str, expires: int) -> str:
        digest = hmac.digest(self._key, f"{name}.{expires}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
