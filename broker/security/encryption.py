"""Encrypt stored secrets with a key that is derived from the installation's secret key.

Fernet (github.com/fernet/spec) authenticates what it encrypts, so a text that was changed,
or encrypted by another installation, is refused.
"""

import base64
import hashlib
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from broker.errors import UnavailableError


class Encryption:
    """Encrypts secrets with the key of `installation_key`; also decrypts with earlier keys."""

    def __init__(self, key: bytes, older: Sequence[bytes] = ()) -> None:
        self._fernet = MultiFernet([_derive_fernet(each) for each in (key, *older)])

    def encrypt(self, secret: str) -> str:
        return self._fernet.encrypt(secret.encode()).decode()

    def decrypt(self, encrypted: str) -> str:
        """Return the secret. Raises UnavailableError if another key encrypted it."""
        try:
            return self._fernet.decrypt(encrypted.encode()).decode()
        except InvalidToken:
            raise _build_wrong_key_error() from None

    def renew(self, encrypted: str) -> str:
        """Encrypt a secret again with the newest key. Raises UnavailableError as `decrypt` does."""
        try:
            return self._fernet.rotate(encrypted.encode()).decode()
        except InvalidToken:
            raise _build_wrong_key_error() from None


def _derive_fernet(key: bytes) -> Fernet:
    # a key of its own, so that the key that signs links cannot decrypt secrets
    derived = hashlib.blake2b(key, digest_size=32, person=b"waybill-sealing").digest()
    return Fernet(base64.urlsafe_b64encode(derived))


def _build_wrong_key_error() -> UnavailableError:
    return UnavailableError(
        "A stored secret cannot be opened: WAYBILL_SECRET_KEY is not the one it was stored with, "
        "nor is one of WAYBILL_OLD_SECRET_KEYS."
    )
