"""Which IP addresses may be reached. Pure.

Source: the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890 and its updates);
what carries an IPv4 address inside (mapped, NAT64, 6to4, Teredo) is judged by that one as well.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

REFUSED_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata service
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # Azure's platform service, seen by its guests only
            "169.254.0.0/16",  # link-local; most clouds' metadata services
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # IETF protocol assignments; Oracle's metadata service
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast at its end
        ),
    )
)
METADATA = (
    IPv4Network("169.254.169.254/32"),  # most clouds
    IPv4Network("169.254.170.2/32"),  # Amazon's containers
    IPv4Network("100.100.100.200/32"),  # Alibaba
    IPv4Network("192.0.0.192/32"),  # Oracle
    IPv4Network("168.63.129.16/32"),  # Azure
    IPv6Network("fd00:ec2::254/128"),  # Amazon
)
"""Services that give a machine's credentials to whoever asks from it: no setting allows them."""

GLOBAL_V6 = IPv6Network("2000::/3")
"""All that is assigned as global unicast. Outside lie loopback, mapped and NAT64 addresses,
unique local (fc00::/7), link-local, site-local, discard-only and multicast ones."""

REFUSED_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # IETF protocol assignments: Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
        ),
    )
)
_COMPATIBLE = IPv6Network("::/96")
_MAPPED = IPv6Network("::ffff:0:0/96")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")  # RFC 2765
_NAT64 = IPv6Network("64:ff9b::/96")
_ENDS_IN_V4 = (_COMPATIBLE, _MAPPED, _TRANSLATED, _NAT64)
_FEW = 2  # `::` and `::1` are addresses of their own, not compatible ones


def is_allowed(address: Address, networks: Sequence[Network] = ()) -> bool:
    """Whether `address` is global, or in one of `networks`; so must be what it carries inside."""
    return _is_reachable(address, networks) and all(
        _is_reachable(inner, networks) for inner in embedded(address)
    )


def is_listed(address: Address, networks: Sequence[Network]) -> bool:
    """Whether the operator has listed the address itself, or the IPv4 address it is a form of."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return _is_in(address, networks) or (mapped is not None and _is_in(mapped, networks))


def embedded(address: Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses inside an IPv6 address."""
    if not isinstance(address, IPv6Address):
        return
    number = int(address)
    if number >= _FEW and _is_in(address, _ENDS_IN_V4):
        yield IPv4Address(number & 0xFFFF_FFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo  # its server and its client


def _is_reachable(address: Address, networks: Sequence[Network]) -> bool:
    if _is_in(address, METADATA):
        return False
    return _is_global(address) or _is_in(address, networks)


def _is_global(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not _is_in(address, REFUSED_V4)
    if address in _MAPPED:
        return True  # the IPv4 address inside decides
    return address in GLOBAL_V6 and not _is_in(address, REFUSED_V6)


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
