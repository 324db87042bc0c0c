"""The URLs of receivers are accepted by the rules of the guard that sends to them."""

from ipaddress import ip_network

import pytest

from api.webhooks.urls import check_receiver
from broker.errors import InvalidRequestError

OFFICE = (ip_network("10.0.0.0/8"),)
HOME = (ip_network("127.0.0.0/8"),)


@pytest.mark.parametrize(
    ("url", "networks"),
    [
        ("https://example.com:22/", ()),
        ("http://example.com/", ()),
        ("https://localhost/", ()),
        ("https://a.localhost/", OFFICE),
        ("https://127.0.0.1/", OFFICE),
        ("https://2130706433/", HOME),
        ("https://10.0.0.1:0/", OFFICE),
    ],
)
def test_what_can_never_be_reached(url, networks):
    with pytest.raises(InvalidRequestError) as refused:
        check_receiver(url, networks, param="url")
    assert refused.value.param == "url"


@pytest.mark.parametrize(
    ("url", "networks"),
    [
        ("https://example.com/hooks?a=b", ()),
        ("https://example.com:8443/", ()),
        ("https://[2606:4700:4700::1111]/", ()),
        ("http://10.1.2.3:22/", OFFICE),
        ("http://localhost:9000/", HOME),
        ("http://receiver:9000/", OFFICE),
    ],
)
def test_what_may_be(url, networks):
    check_receiver(url, networks, param="url")
