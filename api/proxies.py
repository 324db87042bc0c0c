"""Read who calls behind proxies that the operator declared (`WAYBILL_TRUSTED_PROXIES`).

A peer that is not declared may send what it likes: its `X-Forwarded-*` headers are not read.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MOST_HOPS = 32
SCHEMES = ("http", "https")


class TrustedProxies:
    """Replace client, scheme and host of requests that came through declared proxies."""

    def __init__(self, app: ASGIApp, networks: Sequence[Network]) -> None:
        self._app = app
        self._networks = networks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = _address(scope["client"][0]) if scope.get("client") else None
        if scope["type"] == "http" and peer is not None and self._trusts(peer):
            scope = self._seen_from_outside(scope, peer)
        await self._app(scope, receive, send)

    def _seen_from_outside(self, scope: Scope, peer: Address) -> Scope:
        headers = Headers(scope=scope)
        client, proxies = self._client(peer, _listed(headers, "x-forwarded-for"))
        scope = {**scope, "client": (str(client), 0), "headers": list(scope["headers"])}
        scheme = _of_outermost(_listed(headers, "x-forwarded-proto"), proxies)
        if scheme in SCHEMES:
            scope["scheme"] = scheme
        host = _of_outermost(_listed(headers, "x-forwarded-host"), proxies)
        if host:
            MutableHeaders(scope=scope)["host"] = host
        return scope

    def _client(self, peer: Address, hops: Sequence[str]) -> tuple[Address, int]:
        """Return the first address from the right that is no proxy's, and how many proxies came.

        Each proxy adds on the right whom it heard. Whatever stands further left was sent by the
        client, who may send anything. An entry that is no address ends the search.
        """
        client, proxies = peer, 1
        for hop in reversed(hops[-MOST_HOPS:]):
            heard = _address(hop)
            if heard is None:
                break
            client = heard
            if not self._trusts(heard):
                break
            proxies += 1
        return client, proxies

    def _trusts(self, address: Address) -> bool:
        return any(
            address.version == network.version and address in network for network in self._networks
        )


def _listed(headers: Headers, name: str) -> list[str]:
    """Return the entries of a header that may be sent more than once."""
    return [entry.strip() for value in headers.getlist(name) for entry in value.split(",")]


def _of_outermost(entries: Sequence[str], proxies: int) -> str | None:
    """Return what the outermost of the declared proxies wrote; some replace, some add."""
    return entries[-min(proxies, len(entries))] if entries else None


def _address(text: str) -> Address | None:
    """Read an address, with or without a port; IPv4 inside IPv6 is IPv4."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ip_address(bare)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
