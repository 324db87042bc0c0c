"""Secrets at rest: encrypted with a key made from the installation's secret key.

Fernet (github.com/fernet/spec) authenticates what it encrypts, so a text that was changed,
or encrypted by another installation, is refused.
"""

import base64
import hashlib
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from broker.errors import UnavailableError


class Encryption:
    """Closes and opens secrets with the key of `installation_key`, and with keys before it."""

    def __init__(self, key: bytes, older: Sequence[bytes] = ()) -> None:
        self._fernet = MultiFernet([_fernet(each) for each in (key, *older)])

    def close(self, secret: str) -> str:
        return self._fernet.encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """Return the secret. Raises UnavailableError if another key encrypted it."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise _not_ours() from None

    def renew(self, sealed: str) -> str:
        """Encrypt a secret again with the newest key. Raises UnavailableError as `open` does."""
        try:
            return self._fernet.rotate(sealed.encode()).decode()
        except InvalidToken:
            raise _not_ours() from None


def _fernet(key: bytes) -> Fernet:
    # a purpose of its own: what signs links must not open secrets
    derived = hashlib.blake2b(key, digest_size=32, person=b"waybill-sealing").digest()
    return Fernet(base64.urlsafe_b64encode(derived))


def _not_ours() -> UnavailableError:
    return UnavailableError(
        "A stored secret cannot be opened: WAYBILL_SECRET_KEY is not the one it was stored with, "
        "nor is one of WAYBILL_OLD_SECRET_KEYS."
    )
