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
    """Signs names with an expiry, and checks the signatures."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def build_link(self, path: str, name: str, seconds: int = LINK_SECONDS) -> str:
        """Return `path` with an expiry and a signature over `name`."""
        expires = int(time.time()) + seconds
        return f"{path}?expires={expires}&signature={self._sign(name, expires)}"

    def is_valid(self, name: str, expires: int, signature: str) -> bool:
        """Return whether this signer made the signature and it has not expired."""
        expected = self._sign(name, expires)
        return expires > time.time() and is_same(expected, signature)

    def _sign(self, name: str, expires: int) -> str:
        digest = hmac.digest(self._key, f"{name}.{expires}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
