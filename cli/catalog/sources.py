"""Where lists of models come from: a URL, a file, a provider's own list."""

import json
from pathlib import Path
from typing import Any

import httpx

from broker.providers import Provider
from cli.commands.provider_checks import probe
from workers.adapters.registry import ADAPTERS

MODELS_DEV = "https://models.dev/api.json"
PATIENCE_SECONDS = 30
MODELS_PATH = "/models"


class SourceError(Exception):
    """A list could not be had; the text says why and what to do."""


def fetched(place: str) -> Any:
    """Return the JSON at a URL or in a file. Raises SourceError."""
    try:
        if place.startswith(("http://", "https://")):
            return _answer(place, {})
        return json.loads(Path(place).read_bytes())
    except OSError as error:
        raise SourceError(f"{place} cannot be read: {error.strerror}") from None
    except ValueError:
        raise SourceError(f"{place} is not JSON") from None


def model_list(provider: Provider) -> Any:
    """Ask a provider for its list of models. Raises SourceError."""
    if provider.wire != "openai":
        raise SourceError(f"{provider.slug} does not list its models as OpenAI does")
    headers = probe(provider, ADAPTERS[provider.wire]).headers
    try:
        return _answer(provider.base_url + MODELS_PATH, dict(headers))
    except ValueError:
        raise SourceError(f"{provider.slug} answered with something that is not JSON") from None


def _answer(url: str, headers: dict[str, str]) -> Any:
    try:
        answer = httpx.get(url, headers=headers, timeout=PATIENCE_SECONDS, follow_redirects=True)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceError(f"{url} cannot be reached: {error}") from None
    if not answer.is_success:
        raise SourceError(f"{url} answered {answer.status_code}")
    return answer.json()
