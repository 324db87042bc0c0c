"""Rules for URLs of callers: which addresses and URLs may be requested. Pure.

The API applies them when a URL is handed in, and the guard of the workers at every request.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

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
"""Services that give a machine's credentials to every program on it: no setting allows them."""

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
    """Return whether `address`, and an address embedded in it, is global or in `networks`."""
    return _is_reachable(address, networks) and all(
        _is_reachable(inner, networks) for inner in embedded(address)
    )


def is_listed(address: Address, networks: Sequence[Network]) -> bool:
    """Return whether the operator has listed the address or the IPv4 address embedded in it."""
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


HTTPS_PORTS = frozenset({443, 8443})
HTTP_PORTS = frozenset({80, 8080})
MAX_LENGTH = 8_192
INTERNAL_SUFFIXES = (".local", ".internal")

_ODD = re.compile(r"[\x00-\x20\x7f\\]|\s")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class RefusedError(Exception):
    """The URL may not be requested. The text names the rule, and no address but the caller's."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The URLs that an operator permits besides https on its usual ports to global addresses."""

    networks: Sequence[Network] = ()  # reached whatever they are, by http too and on any port
    http: bool = False
    any_port: bool = False

    def judge(self, target: "Target", addresses: Sequence[Address]) -> None:
        """Raise RefusedError unless every one of a target's addresses may be reached."""
        if not all(is_allowed(address, self.networks) for address in addresses):
            raise RefusedError("the host has an address that is not public")
        if not all(is_listed(address, self.networks) for address in addresses):
            self.judge_port(target)

    def judge_port(self, target: "Target") -> None:
        """Raise RefusedError for a scheme or port that is not allowed for public hosts."""
        if target.scheme == "http" and not self.http:
            raise RefusedError("only https:// is requested")
        if self.any_port:
            return
        ports = HTTPS_PORTS | HTTP_PORTS if self.http else HTTPS_PORTS
        if target.port not in ports:
            raise RefusedError(f"port {target.port} is not one of {_listed(ports)}")


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a URL: a name to resolve, or an address."""

    scheme: str
    host: str  # lower-case ASCII
    port: int
    address: Address | None = None  # where the host is one


def parse(url: str, policy: Policy) -> Target:
    """Read a URL. Raises RefusedError where its text breaks a rule.

    With listed networks, scheme and port can be judged only once the host's addresses are known.
    """
    if len(url) > MAX_LENGTH:
        raise RefusedError(f"the URL is longer than {MAX_LENGTH} characters")
    if _ODD.search(url):
        raise RefusedError("the URL has spaces, control characters or backslashes")
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        raise RefusedError("the URL cannot be read") from None
    if split.scheme not in ("http", "https"):
        raise RefusedError("only https:// is requested")
    if "@" in split.netloc:
        raise RefusedError("the URL has a user name or password")
    host, address = _host(split)
    usual = 443 if split.scheme == "https" else 80
    target = Target(split.scheme, host, usual if port is None else port, address)
    if address is not None:
        policy.judge(target, (address,))
    elif not policy.networks:
        policy.judge_port(target)
    return target


def _host(split: SplitResult) -> tuple[str, Address | None]:
    """Return the host in its one spelling, with its address where it is one."""
    host = split.hostname or ""
    if split.netloc.startswith("["):
        address = _v6(host)
        return str(address), address
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            raise RefusedError("the host is not a name") from None
    labels = host.split(".")
    if host.endswith("."):
        raise RefusedError("the host ends in a dot")
    if _NUMBER.fullmatch(labels[-1]):
        return host, _v4(host)
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):  # noqa: PLR2004  # RFC 1035
        raise RefusedError("the host is not a name")
    if host.endswith(INTERNAL_SUFFIXES):
        raise RefusedError("the host is a name of a local network")
    return host, None


def _v4(host: str) -> IPv4Address:
    try:
        return IPv4Address(host)
    except ValueError:
        raise RefusedError("the host is a number that is not a plain IPv4 address") from None


def _v6(host: str) -> IPv6Address:
    try:
        address = IPv6Address(host)
    except ValueError:
        raise RefusedError("the host is not an IPv6 address") from None
    if address.scope_id is not None:
        raise RefusedError("the address has a zone")
    return address


def _listed(ports: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(ports)))
