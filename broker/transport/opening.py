"""Opens the sending and the receiving side of the transport that a URL names."""

from collections.abc import Sequence
from typing import Protocol

from broker.transport.amqp_transport import AmqpReceiver, AmqpSender
from broker.transport.messages import Message
from broker.transport.redis_transport import RedisReceiver, RedisSender

REDIS_SCHEMES = {"redis": "redis", "rediss": "rediss", "redis+socket": "unix", "unix": "unix"}
AMQP_SCHEMES = {"amqp": "amqp", "amqps": "amqps", "pyamqp": "amqp"}


class Sender(Protocol):
    """The side of the transport that publishes; used on one loop."""

    async def send(self, messages: Sequence[Message]) -> None:
        """Publish messages. Raises TransportError; some may have been published then."""

    async def check(self) -> None:
        """Reach the server. Raises TransportError."""

    async def close(self) -> None:
        """Disconnect."""


class Receiver(Protocol):
    """The side of the transport that takes messages; used on one loop, by one caller."""

    async def receive(self, queues: Sequence[str], limit: int, seconds: float) -> list[Message]:
        """Take up to `limit` messages; none after `seconds` without any. Raises TransportError."""

    async def close(self) -> None:
        """Disconnect; what was not taken is left to others."""


def open_sender(url: str) -> Sender:
    """Return the sender for a transport URL; it connects on first use. Raises ValueError."""
    scheme, address = _resolve(url)
    return AmqpSender(address) if scheme in AMQP_SCHEMES.values() else RedisSender(address)


def open_receiver(url: str) -> Receiver:
    """Return the receiver for a transport URL; it connects on first use. Raises ValueError."""
    scheme, address = _resolve(url)
    return AmqpReceiver(address) if scheme in AMQP_SCHEMES.values() else RedisReceiver(address)


async def check(url: str) -> None:
    """Reach the server of a transport URL. Raises TransportError or ValueError."""
    sender = open_sender(url)
    try:
        await sender.check()
    finally:
        await sender.close()


def _resolve(url: str) -> tuple[str, str]:
    """Return the scheme that the client libraries know, and the URL with it."""
    scheme, separator, address = url.partition("://")
    known = (REDIS_SCHEMES | AMQP_SCHEMES).get(scheme)
    if known is None or not separator:
        schemes = ", ".join(sorted(REDIS_SCHEMES | AMQP_SCHEMES))
        raise ValueError(f"unknown transport {scheme!r}: broker_url begins with one of {schemes}")
    return known, f"{known}://{address}".replace("virtual_host=", "db=")  # Kombu's, redis-py's
