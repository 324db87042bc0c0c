"""How keys and tokens look: made from random bits, stored as hashes, shown masked.

A plain hash suffices because a key is 256 random bits: there is nothing to guess from. A key ends
in a checksum, as GitHub's tokens do (github.blog, "Behind GitHub's new authentication token
formats"): a typing error is found without a look-up, and a secret scanner can tell a key from noise
(`sk-wb-v1-[0-9A-Za-z]{49}`).
"""

import hashlib
import secrets
import zlib

KEY_PREFIX = "sk-wb-v1-"
BODY_LENGTH = 43  # 62 ** 43 > 2 ** 256
CHECKSUM_LENGTH = 6  # 62 ** 6 > 2 ** 32
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def new_key() -> str:
    """Return a fresh API key."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(BODY_LENGTH))
    return KEY_PREFIX + body + _checksum(body)


def is_mistyped(key: str) -> bool:
    """Whether a key has our form and a checksum that does not fit: no such key was ever made.

    Keys of another form (chosen as WAYBILL_BOOTSTRAP_KEY, or made before there were checksums) have
    none, and only a look-up can tell.
    """
    if not key.startswith(KEY_PREFIX):
        return False
    rest = key.removeprefix(KEY_PREFIX)
    body, checksum = rest[:BODY_LENGTH], rest[BODY_LENGTH:]
    return not (rest.isascii() and len(body) == BODY_LENGTH and checksum == _checksum(body))


def _checksum(body: str) -> str:
    value, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        value, digit = divmod(value, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def new_token() -> str:
    """Return a fresh secret for a cookie or a link."""
    return secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """Return what is stored of a key or a token."""
    return hashlib.sha256(key.encode()).hexdigest()


def mask(key: str) -> str:
    """A key as lists show it: enough to recognise, too little to use."""
    shown = len(KEY_PREFIX) + 3 if key.startswith(KEY_PREFIX) else 9
    return f"{key[:shown]}…{key[-4:]}" if len(key) > 16 else "…"  # noqa: PLR2004
