"""Credentials that providers refused while jobs were run, as the workers wrote them down."""

import contextlib

from redis import Redis
from redis.exceptions import RedisError

from broker.evidence import WHOLE_PROVIDER
from broker.health import circuits
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
