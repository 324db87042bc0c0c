"""Secrets at rest: encrypted with a key made from the installation's secret key.

Fernet (github.com/fernet/spec) authenticates what it encrypts, so a sealed text that was changed,
or sealed by another installation, does not open.
"""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken

from broker.errors import UnavailableError


class Seal:
    """Closes and opens secrets. Made of `signing.signing_key`."""

    def __init__(self, key: bytes) -> None:
        # a purpose of its own: what signs links must not open secrets
        derived = hashlib.blake2b(key, digest_size=32, person=b"waybill-sealing").digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(derived))

    def close(self, secret: str) -> str:
        return self._fernet.encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """Return the secret. Raises UnavailableError where another key sealed it."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise UnavailableError(
                "A stored secret cannot be opened: WAYBILL_SECRET_KEY is not the one it was "
                "stored with."
            ) from None
