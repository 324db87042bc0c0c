"""Keeping secrets out of what a command prints."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import unquote, urlsplit

from broker.providers import ENV_PREFIX
from broker.settings import Settings
from broker.vendors import vendors

HIDDEN = "***"
SHORTEST = 4  # hiding anything shorter would only garble the text


def concealing(config: Settings, environ: Mapping[str, str]) -> Callable[[str], str]:
    """Return a function that replaces every secret of this configuration in a text."""
    found = {secret for secret in _secrets(config, environ) if secret and len(secret) >= SHORTEST}
    longest_first = sorted(found, key=len, reverse=True)

    def conceal(text: str) -> str:
        for secret in longest_first:
            text = text.replace(secret, HIDDEN)
        return text

    return conceal


def _secrets(config: Settings, environ: Mapping[str, str]) -> Iterator[str | None]:
    yield from (config.secret_key, config.bootstrap_key, environ.get("WAYBILL_API_KEY"))
    for url in (config.database, config.redis, config.transport, environ.get("WAYBILL_URL", "")):
        yield from _passwords(url)
    for vendor in vendors().values():
        yield from (environ.get(name) for name in vendor.key_variables)
    for row in config.providers:
        key = row.api_key or ""
        is_named = key.startswith(ENV_PREFIX)
        yield environ.get(key.removeprefix(ENV_PREFIX)) if is_named else key
        yield from row.headers.values()


def _passwords(url: str) -> Iterable[str]:
    password = urlsplit(url).password
    return (password, unquote(password)) if password else ()
