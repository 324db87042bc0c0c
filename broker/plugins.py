"""A body's `plugins`: which are asked for, with which settings. Pure.

Source: openrouter.ai/docs/guides/features/plugins. Ids that are not known here pass unheard.
"""

from typing import Any

from broker.completion import Json
from broker.errors import InvalidRequestError

CONTEXT_COMPRESSION = "context-compression"
RESPONSE_HEALING = "response-healing"
MIDDLE_OUT = "middle-out"


def find(plugins: Any, id_: str) -> Json | None:
    """Return a plugin's settings, or None where the body does not name it."""
    for plugin in plugins if isinstance(plugins, list) else ():
        if isinstance(plugin, dict) and plugin.get("id") == id_:
            return plugin
    return None


def is_on(settings: Json) -> bool:
    return settings.get("enabled") is not False


def check(body: Json) -> None:
    """Raise InvalidRequestError for a setting that would be passed over in silence."""
    plugins = body.get("plugins")
    engine = (find(plugins, CONTEXT_COMPRESSION) or {}).get("engine", MIDDLE_OUT)
    if engine != MIDDLE_OUT:
        raise InvalidRequestError(
            f"plugins: {CONTEXT_COMPRESSION} has no engine {engine!r}; there is {MIDDLE_OUT}.",
            param="plugins",
        )
    retry = (find(plugins, RESPONSE_HEALING) or {}).get("retry", False)
    if not isinstance(retry, bool):
        raise InvalidRequestError(
            f"plugins: {RESPONSE_HEALING} has `retry`: true or false, not {retry!r}.",
            param="plugins",
        )
    unknown = [each for each in body.get("transforms") or () if each != MIDDLE_OUT]
    if unknown:
        raise InvalidRequestError(
            f"transforms: there is no {unknown[0]!r}; there is {MIDDLE_OUT}.", param="transforms"
        )
