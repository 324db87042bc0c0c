"""Which URLs may be requested, as far as their text tells. Pure.

Parsers disagree about odd URLs, and each disagreement is a way around a guard; so what is odd is
refused rather than read. The rules on numbers in hosts are those of url.spec.whatwg.org, "ends in
a number checker", made stricter: an IPv4 address has four plain decimal numbers.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import SplitResult, urlsplit

from broker.security.egress.addresses import Address, Network, is_allowed, is_listed

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
    """What an operator permits beyond https on its usual ports to global addresses."""

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
        """Raise RefusedError for a scheme or port that no public host may be asked on."""
        if target.scheme == "http" and not self.http:
            raise RefusedError("only https:// is requested")
        if self.any_port:
            return
        ports = HTTPS_PORTS | HTTP_PORTS if self.http else HTTPS_PORTS
        if target.port not in ports:
            raise RefusedError(f"port {target.port} is not one of {_listed(ports)}")


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a URL asks: a name to resolve, or an address."""

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
