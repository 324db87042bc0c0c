"""Read secrets that are sent in HTTP headers: API keys and header values.

A secret comes from an environment variable, a file, waybill.toml or a caller. It often brings a
line break, a byte order mark or quotes along. Those are removed; whatever else a header cannot
carry is refused by the name of its source. An error never repeats the secret.
"""

import re
from pathlib import Path

from broker.security.redaction import learn

LONGEST = 10_000
"""Characters of a key; some are JSON documents."""

_AROUND = " \t\r\n\v\f\0\ufeff\u200b\u200c\u200d\u2060\u00a0"
_NOT_SECRET = re.compile(
    r"version|beta|accept|content|agent|referer|title|origin|host|region|project", re.IGNORECASE
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class InvalidSecretError(ValueError):
    """A secret cannot be sent; the message names its source and the remedy."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(f"{source}: {problem}")
        self.problem = problem


def clean_secret(given: str, source: str) -> str:
    """Return a key as it is sent; an empty one stays empty. Raises InvalidSecretError."""
    secret = given.strip(_AROUND)
    if len(secret) > 1 and secret[0] == secret[-1] and secret[0] in "\"'":
        secret = secret[1:-1].strip(_AROUND)
    check_value(secret, source)
    if secret.lower().startswith("bearer "):
        raise InvalidSecretError(source, "write the key alone, without `Bearer`.")
    learn((secret, *secret.split(":")))
    return secret


def check_value(value: str, source: str) -> None:
    """Raise InvalidSecretError where a header cannot carry `value`."""
    if len(value) > LONGEST:
        raise InvalidSecretError(source, f"has more than {LONGEST:,} characters.")
    for place, letter in enumerate(value, start=1):
        if letter in "\r\n":
            raise InvalidSecretError(
                source,
                f"has a line break after character {place - 1}; it must be one line. "
                "Copy the key again.",
            )
        if not (letter.isascii() and letter.isprintable()):
            raise InvalidSecretError(
                source,
                f"character {place} (U+{ord(letter):04X}) cannot be sent in a header; "
                "only printable ASCII can. Copy the key again.",
            )


def clean_header(name: str, value: str, source: str) -> str:
    """Return the value of a header that a configuration adds. Raises InvalidSecretError."""
    if not _TOKEN.fullmatch(name):
        raise InvalidSecretError(source, f"{name[:60]!r} is no name of a header.")
    value = value.strip(_AROUND)
    check_value(value, f"{source}.{name}")
    if not _NOT_SECRET.search(name):
        learn((value, value.removeprefix("Bearer ")))
    return value


def read_secret_file(path: str, source: str) -> str:
    """Return the key in a file. Raises InvalidSecretError."""
    try:
        text = Path(path).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise InvalidSecretError(source, f"{path} cannot be read ({reason}).") from None
    return clean_secret(text, f"{source} ({path})")
