"""Every range of the IANA special-purpose registries, in every form an address can have."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.security.egress import METADATA, is_allowed, is_listed

REFUSED_V4 = {
    "this network": ("0.0.0.0", "0.255.255.255"),
    "private 10": ("10.0.0.0", "10.255.255.255"),
    "carrier-grade NAT": ("100.64.0.0", "100.127.255.255"),
    "loopback": ("127.0.0.0", "127.255.255.255"),
    "link-local": ("169.254.0.0", "169.254.255.255"),
    "metadata": ("169.254.169.254", "100.100.100.200"),
    "private 172": ("172.16.0.0", "172.31.255.255"),
    "protocol assignments": ("192.0.0.0", "192.0.0.255"),
    "documentation 1": ("192.0.2.0", "192.0.2.255"),
    "6to4 relays": ("192.88.99.0", "192.88.99.255"),
    "private 192": ("192.168.0.0", "192.168.255.255"),
    "benchmarks": ("198.18.0.0", "198.19.255.255"),
    "documentation 2": ("198.51.100.0", "198.51.100.255"),
    "documentation 3": ("203.0.113.0", "203.0.113.255"),
    "multicast": ("224.0.0.0", "239.255.255.255"),
    "reserved": ("240.0.0.0", "255.255.255.254"),
    "broadcast": ("255.255.255.255",),
    "Azure's platform": ("168.63.129.16",),
}
REFUSED_V6 = {
    "unspecified": ("::",),
    "loopback": ("::1",),
    "NAT64": ("64:ff9b::808:808",),
    "NAT64, local": ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
    "discard": ("100::", "100::ffff:ffff:ffff:ffff"),
    "Teredo": ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"),
    "documentation": ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "3fff::1"),
    "6to4": ("2002::", "2002:808:808::1"),
    "unique local": ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fd00:ec2::254"),
    "link-local": ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::1%eth0"),
    "site-local": ("fec0::1",),
    "multicast": ("ff00::", "ff02::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
}
GLOBAL = (
    *("1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *("128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0"),
    *("192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0", "192.167.255.255"),
    *("192.169.0.0", "198.17.255.255", "198.20.0.0", "203.0.112.255", "223.255.255.255"),
    *("2606:4700:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8", "2001:4860:4860::8888"),
)
V4 = [address for row in REFUSED_V4.values() for address in row]


def forms(v4):
    """Every way to write an IPv4 address inside an IPv6 one."""
    number = int(IPv4Address(v4))
    return {
        "mapped": IPv6Address(0xFFFF << 32 | number),
        "compatible": IPv6Address(number),
        "translated": IPv6Address(0xFFFF << 48 | number),
        "NAT64": IPv6Address(int(IPv6Address("64:ff9b::")) | number),
        "6to4": IPv6Address(0x2002 << 112 | number << 80 | 1),
        "Teredo client": IPv6Address(
            0x20010000 << 96 | int(IPv4Address("8.8.8.8")) << 64 | number ^ 0xFFFFFFFF
        ),
        "Teredo server": IPv6Address(0x20010000 << 96 | number << 64 | 0xF7F7F7F7),
    }


@pytest.mark.parametrize(
    "address", [*V4, *(address for row in REFUSED_V6.values() for address in row)]
)
def test_special_addresses_are_refused(address):
    assert not is_allowed(ip_address(address))


@pytest.mark.parametrize("address", GLOBAL)
def test_global_addresses_are_allowed(address):
    assert is_allowed(ip_address(address))


@pytest.mark.parametrize("v4", V4)
@pytest.mark.parametrize("form", forms("8.8.8.8"))
def test_a_refused_address_inside_another_is_refused(v4, form):
    assert not is_allowed(forms(v4)[form])


@pytest.mark.parametrize("form", ["NAT64", "6to4", "Teredo client", "Teredo server"])
def test_a_listed_transition_prefix_opens_only_what_is_public_behind_it(form):
    prefixes = [ip_network(p) for p in ("64:ff9b::/96", "2002::/16", "2001::/32")]
    assert is_allowed(forms("8.8.8.8")[form], prefixes)
    assert not is_allowed(forms("169.254.169.254")[form], prefixes)
    listed = [*prefixes, ip_network("169.254.0.0/16")]
    assert is_allowed(forms("169.254.1.1")[form], listed)
    assert not is_allowed(forms("169.254.169.254")[form], listed)


def is_metadata(v4):
    return any(ip_address(v4) in network for network in METADATA if network.version == 4)


@pytest.mark.parametrize("v4", [v4 for v4 in V4 if not is_metadata(v4)])
def test_a_listed_network_is_allowed_and_nothing_beside_it(v4):
    listed = [ip_network(f"{v4}/32")]
    assert is_allowed(ip_address(v4), listed)
    assert is_allowed(forms(v4)["mapped"], listed)
    assert is_listed(forms(v4)["mapped"], listed)
    assert not is_allowed(ip_address("10.9.8.7"), listed)
    assert not is_allowed(forms(v4)["6to4"], listed)


@given(st.ip_addresses(v=4))
def test_nothing_is_allowed_that_python_calls_not_global(address):
    if not address.is_global:
        assert not is_allowed(address)
        assert not is_allowed(forms(str(address))["mapped"])


@given(st.ip_addresses(v=6))
def test_no_ipv6_address_is_allowed_that_python_calls_not_global(address):
    if not address.is_global and address.ipv4_mapped is None:
        assert not is_allowed(address)
