"""Read what the workers wrote down: refused credentials, and pauses of endpoints."""

import contextlib
import math

from redis import Redis
from redis.exceptions import RedisError

from broker.evidence import WHOLE_PROVIDER
from broker.health import circuits
from broker.pacing import pauses
from broker.settings import Settings

PATIENCE_SECONDS = 3


def disabled(config: Settings) -> dict[str, str]:
    """Return why, by provider, for each that is disabled now; none where Redis does not answer."""
    with _connected(config) as connection:
        try:
            stored = connection.hgetall(circuits.KEY)
        except (RedisError, OSError):
            return {}
    return {
        provider: known.why
        for (provider, model), known in circuits.read(stored).items()  # type: ignore[arg-type]
        if model == WHOLE_PROVIDER and known.until
    }


def paused(config: Settings, now: int) -> dict[str, list[str]]:
    """Return each provider's paused models with reason and end; none without Redis."""
    with _connected(config) as connection:
        try:
            stored = connection.hgetall(pauses.KEY)
        except (RedisError, OSError):
            return {}
    found: dict[str, list[str]] = {}
    for (provider, model), pause in sorted(pauses.read(stored).items()):  # type: ignore[arg-type]
        if pause.until > now:
            left = math.ceil((pause.until - now) / 1000)
            reason = pause.reason.value.replace("_", " ")
            found.setdefault(provider, []).append(f"{model} paused for {left} s ({reason})")
    return found


def enable(config: Settings, provider: str) -> None:
    """Take a provider whose key was just accepted back into service, where Redis answers."""
    with _connected(config) as connection, contextlib.suppress(RedisError, OSError):
        connection.hdel(circuits.KEY, circuits.name((provider, WHOLE_PROVIDER)))


def _connected(config: Settings) -> contextlib.closing[Redis]:
    return contextlib.closing(
        Redis.from_url(
            config.redis, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS
        )
    )
