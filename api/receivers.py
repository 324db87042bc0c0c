"""URLs of receivers, as far as they are plainly wrong when they are handed in.

Whether a receiver may be reached is decided at each attempt, when its addresses are known.
"""

from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from urllib.parse import urlsplit

from api.schemas.webhooks import JobWebhook
from broker import webhooks
from broker.errors import InvalidRequestError

Network = IPv4Network | IPv6Network
LOOPBACK = ip_address("127.0.0.1")


def check_receiver(url: str, networks: Sequence[Network], *, param: str) -> None:
    """Refuse a URL that no delivery could be sent to; `networks` are those the operator allows."""
    webhooks.check_url(url, param=param)
    split = urlsplit(url)
    try:
        port = split.port
    except ValueError:
        port = 0
    if port == 0:
        raise InvalidRequestError("A webhook's URL has a port from 1 to 65535.", param=param)
    address = _address(split.hostname or "")
    if address is not None and not address.is_global and not _is_in(address, networks):
        raise InvalidRequestError(
            "This address is not public: WAYBILL_ALLOWED_NETWORKS lists others that may be "
            "reached.",
            param=param,
        )
    if split.scheme == "http" and not networks:
        raise InvalidRequestError("A webhook's URL begins with https://.", param=param)


def own_webhook(
    own: JobWebhook | None, short: str | None, networks: Sequence[Network]
) -> str | None:
    """Return a job's or batch's own receiver (JSON), given as `webhook` or `callback_url`."""
    if own is not None and short is not None:
        raise InvalidRequestError("Give `webhook` or `callback_url`.", param="callback_url")
    if own is not None:
        check_receiver(own.url, networks, param="webhook.url")
        webhooks.check_events(own.events, param="webhook.events")
        return webhooks.job_webhook(own.url, own.events)
    if short is not None:
        check_receiver(short, networks, param="callback_url")
        return webhooks.job_webhook(short)
    return None


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a host plainly is; None for a name."""
    if host == "localhost" or host.endswith(".localhost"):
        return LOOPBACK
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_in(address: IPv4Address | IPv6Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
