"""Keys as people hand them in."""

from broker.errors import InvalidRequestError

MOST = 10_000  # characters: some are JSON documents


def read_key(given: str) -> str:
    """Return a key as it is sent. Raises InvalidRequestError that does not repeat it."""
    key = given.strip()
    if not key or len(key) > MOST:
        raise InvalidRequestError(f"key: expected 1 to {MOST:,} characters.", param="key")
    if not (key.isascii() and key.isprintable()):
        raise InvalidRequestError(
            "key: a header can only carry printable ASCII, in one line: copy the key again.",
            param="key",
        )
    return key
