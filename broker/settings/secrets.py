"""List the secrets among the settings, so that they can be kept out of every text."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

SECRET_WORDS = frozenset({"key", "keys", "secret", "token", "password", "credential", "auth"})
"""A setting or option with one of these words in its name holds a secret."""


def is_secret(name: str) -> bool:
    """Return whether the setting or option of this name holds a secret."""
    return not SECRET_WORDS.isdisjoint(name.lower().split("_"))


def secrets_of(settings: BaseModel) -> Iterator[str]:
    """Yield every secret of these settings: keys, tokens, and passwords in addresses."""
    for name in type(settings).model_fields:
        yield from _secrets(name, getattr(settings, name))


def _secrets(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner, each in value.items():
            yield from _secrets(str(inner), each)
    elif isinstance(value, tuple) and is_secret(name):
        yield from (str(each) for each in value)
    elif isinstance(value, str):
        if is_secret(name):
            yield value
        yield from _passwords(value)


def _passwords(address: str) -> Iterator[str]:
    if "://" not in address or "@" not in address:
        return
    try:
        password = urlsplit(address).password
    except ValueError:
        return
    if password:
        yield password
        yield unquote(password)
