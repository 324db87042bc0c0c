"""Signatures of reasoning, as Anthropic and Google have them: what comes back is checked."""

from base64 import b64decode, b64encode
from binascii import Error
from hashlib import blake2b
from typing import Final

KEY: Final = b"simulator"
SIZE: Final = 24


def sign(text: str) -> str:
    digest = blake2b(text.encode(), digest_size=SIZE).digest()
    return b64encode(digest + _seal(digest)).decode()


def genuine(signature: str) -> bool:
    """Tell whether a simulator signed this, whatever the text was."""
    try:
        data = b64decode(signature, validate=True)
    except (Error, ValueError):
        return False
    return _seal(data[:SIZE]) == data[SIZE:]


def _seal(digest: bytes) -> bytes:
    return blake2b(digest, key=KEY, digest_size=SIZE).digest()
