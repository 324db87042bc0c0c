# ruff: noqa: RUF001  # wide digits are what is tested
from ipaddress import ip_address, ip_network

import pytest

from broker.security.egress import Policy, RefusedError, parse

STRICT = Policy()
LOCAL = Policy(networks=[ip_network("127.0.0.0/8"), ip_network("::1/128")])
ODD_NUMBERS = (
    *("2130706433", "017700000001", "0x7f000001", "0x7F.1", "127.1", "127.0.1", "0177.0.0.1"),
    *("127.0.0.01", "0x7f.0x0.0x0.0x1", "1.2.3.4.5", "256.1.1.1", "1.2.3", "0", "0x", "8.8.8.08"),
    *("８.８.8.08", "a.b.0x1", "example.1"),
)


def refused(url, policy=STRICT):
    with pytest.raises(RefusedError) as refusal:
        parse(url, policy)
    return str(refusal.value)


@pytest.mark.parametrize("host", ODD_NUMBERS)
@pytest.mark.parametrize("policy", [STRICT, LOCAL], ids=["strict", "loopback allowed"])
def test_odd_numbers_are_refused_even_where_the_address_is_listed(host, policy):
    assert "number" in refused(f"https://{host}/", policy)


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("https://user@example.com/", "user name"),
        ("https://user:word@example.com/", "user name"),
        ("https://example.com@127.0.0.1/", "user name"),
        ("https://@example.com/", "user name"),
        ("https://example.com./", "dot"),
        ("https://127.0.0.1./", "dot"),
        ("https://printer.local/", "local network"),
        ("https://metadata.google.INTERNAL/", "local network"),
        ("http://example.com/", "https"),
        ("ftp://example.com/", "https"),
        ("file:///etc/passwd", "https"),
        ("gopher://example.com/", "https"),
        ("//example.com/", "https"),
        ("example.com", "https"),
        ("", "https"),
        ("https://example.com:22/", "port"),
        ("https://example.com:0/", "port"),
        ("https://example.com:80/", "port"),
        ("https://example.com:65536/", "read"),
        ("https://example.com:x/", "read"),
        ("https://[::1", "read"),
        ("https://[fe80::1%25eth0]/", ""),
        ("https://[v1.x]/", ""),
        ("https://[127.0.0.1]/", ""),
        ("https:///path", "name"),
        ("https://exa mple.com/", "spaces"),
        ("https://exam\tple.com/", "spaces"),
        ("https://example.com\n/", "spaces"),
        ("https://example.com\\@127.0.0.1/", "backslash"),
        ("https://exa%6dple.com/", "name"),
        ("https://127.0.0.1%2f@example.com/", "user name"),
        ("https://a..b/", "name"),
        ("https://-a.com/", "name"),
        (f"https://{'a' * 64}.com/", "name"),
        (f"https://example.com/{'a' * 9000}", "longer"),
        ("https://１２７.０.０.１/", "public"),
        ("https://127。0。0。1/", "public"),
        ("https://①②⑦.0.0.1/", "public"),
        ("https://127.0.0.1/", "public"),
        ("https://169.254.169.254/latest/meta-data", "public"),
        ("https://[::1]/", "public"),
        ("https://[::ffff:127.0.0.1]/", "public"),
        ("https://[::ffff:7f00:1]/", "public"),
        ("https://[0:0:0:0:0:ffff:a9fe:a9fe]/", "public"),
        ("https://[64:ff9b::a9fe:a9fe]/", "public"),
        ("https://[2002:7f00:1::]/", "public"),
    ],
)
def test_refused(url, rule):
    assert rule in refused(url)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://example.com", "example.com", 443),
        ("https://Example.COM:8443/a?b#c", "example.com", 8443),
        ("https://bücher.example/", "xn--bcher-kva.example", 443),
        ("https://my_bucket.s3.example.com/", "my_bucket.s3.example.com", 443),
        ("https://localhost/", "localhost", 443),  # its addresses decide
        ("https://8.8.8.8/", "8.8.8.8", 443),
        ("https://[2606:4700:4700:0::1111]/", "2606:4700:4700::1111", 443),
    ],
)
def test_accepted(url, host, port):
    target = parse(url, STRICT)
    assert (target.host, target.port) == (host, port)


def test_http_where_it_is_allowed_has_its_own_ports():
    policy = Policy(http=True)
    assert parse("http://example.com/", policy).port == 80
    assert parse("http://example.com:8080/", policy).port == 8080
    assert "port" in refused("http://example.com:6379/", policy)
    assert "public" in refused("http://127.0.0.1/", policy)


def test_a_listed_network_may_be_asked_by_http_on_any_port():
    assert parse("http://127.0.0.1:9100/", LOCAL).address == ip_address("127.0.0.1")
    assert parse("http://[::1]:9100/", LOCAL).port == 9100
    assert "https" in refused("http://8.8.8.8/", LOCAL)
    assert "public" in refused("http://10.0.0.1/", LOCAL)


def test_with_listed_networks_a_name_waits_for_its_addresses():
    target = parse("http://localhost:9100/", LOCAL)
    LOCAL.judge(target, [ip_address("127.0.0.1"), ip_address("::1")])
    for addresses in (["8.8.8.8"], ["127.0.0.1", "8.8.8.8"], ["127.0.0.1", "10.0.0.1"]):
        with pytest.raises(RefusedError):
            LOCAL.judge(target, [ip_address(address) for address in addresses])


def test_a_refusal_names_no_address():
    target = parse("https://example.com/", STRICT)
    with pytest.raises(RefusedError) as refusal:
        STRICT.judge(target, [ip_address("10.1.2.3")])
    assert "10.1.2.3" not in str(refusal.value)
