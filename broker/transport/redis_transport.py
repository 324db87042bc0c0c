"""Queues as lists in Redis or Valkey, as Kombu has them: pushed left, popped right."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from broker.transport.messages import (
    MalformedMessageError,
    Message,
    TransportError,
    decode_document,
    encode_document,
)

CONNECT_SECONDS = 5
SOCKET_SECONDS = 30  # a server that is silent for longer is lost
HEALTH_SECONDS = 25
POP = "BLMPOP"
OLDEST_REDIS = 7  # the first with BLMPOP

log = structlog.get_logger()


def connect(url: str) -> Redis:
    """Return a client with limits on how long it waits; it connects on first use."""
    options: dict[str, Any] = {} if url.startswith("unix:") else {"socket_keepalive": True}
    return Redis.from_url(
        url,
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        health_check_interval=HEALTH_SECONDS,
        **options,
    )


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise TransportError(str(error)) from error


class RedisSender:
    """Pushes messages, all that are due in one round trip."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url)

    async def send(self, messages: Sequence[Message]) -> None:
        """Push the messages. Raises TransportError; some may have been pushed then."""
        documents: dict[str, list[bytes]] = {}
        for message in messages:
            documents.setdefault(message.queue, []).append(encode_document(message))
        with _translate_errors():
            if len(documents) == 1:
                [(queue, pushed)] = documents.items()
                await self._push(self._redis, queue, pushed)
                return
            pipeline = self._redis.pipeline(transaction=False)
            for queue, pushed in documents.items():
                await self._push(pipeline, queue, pushed)
            await pipeline.execute()

    async def check(self) -> None:
        """Reach the server, and find out whether it is new enough. Raises TransportError."""
        with _translate_errors():
            server = await self._redis.info("server")
        version = str(server["redis_version"])  # Valkey states the version that it is like
        if int(version.partition(".")[0]) < OLDEST_REDIS:
            raise TransportError(f"the server is Redis {version}: Redis 7 or Valkey is needed")

    async def close(self) -> None:
        await self._redis.aclose()

    async def _push(self, redis: Any, queue: str, documents: Sequence[bytes]) -> None:
        await redis.execute_command("LPUSH", queue, *documents)


class RedisReceiver:
    """Pops messages, the oldest first, from each queue in turn."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url)
        self._last = ""  # the queue that was served last

    async def receive(self, queues: Sequence[str], limit: int, seconds: float) -> list[Message]:
        """Return up to `limit` messages of one queue; none after `seconds` without any.

        Raises TransportError. BLMPOP needs Redis 7 or Valkey.
        """
        turn = self._in_turn(queues)
        with _translate_errors():
            redis: Any = self._redis  # it types no command of its own name
            popped = await redis.execute_command(
                POP, seconds, len(turn), *turn, "RIGHT", "COUNT", limit
            )
        if popped is None:
            return []
        key, documents = popped
        self._last = key.decode()
        return list(_decode_all(self._last, documents))

    async def close(self) -> None:
        await self._redis.aclose()

    def _in_turn(self, queues: Sequence[str]) -> list[str]:
        """Return the queues, the one that was served last at the end."""
        if self._last not in queues:
            return list(queues)
        after = queues.index(self._last) + 1
        return [*queues[after:], *queues[:after]]


def _decode_all(queue: str, documents: Sequence[bytes]) -> Iterator[Message]:
    for document in documents:
        try:
            yield decode_document(queue, document)
        except MalformedMessageError as error:
            log.warning("transport.message_dropped", queue=queue, error=str(error))
