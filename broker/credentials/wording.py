"""Read the keys that workspaces bring along."""

from broker.errors import InvalidRequestError
from broker.security.secret_values import LONGEST, InvalidSecretError, clean_secret


def read_key(given: str) -> str:
    """Return a key as it is sent. Raises InvalidRequestError that does not repeat it."""
    try:
        key = clean_secret(given, "key")
    except InvalidSecretError as error:
        raise InvalidRequestError(str(error), param="key") from None
    if not key:
        raise InvalidRequestError(f"key: expected 1 to {LONGEST:,} characters.", param="key")
    return key
