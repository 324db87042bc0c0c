"""A caller who forges `X-Forwarded-For`, to guess passwords or to appear as another."""

import httpx
import pytest

from api.core.middleware import TrustedProxies
from api.pages.sign_in import TRIES_PER_PAIR
from broker.settings import Settings
from tests.api.conftest import ORIGIN, running, settings_for

PROXIES = "10.0.0.0/8, fd00::/8"


async def seen(peer, *headers, networks=PROXIES):
    """Return client, scheme and host as an application behind the middleware sees them."""
    found = {}

    async def app(scope, receive, send):
        found.update(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    trusted = Settings(trusted_proxies=networks).trusted_proxies
    transport = httpx.ASGITransport(TrustedProxies(app, trusted), client=(peer, 4711))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        await http.get("/", headers=[(f"X-Forwarded-{name}", value) for name, value in headers])
    return found["client"][0], found["scheme"], dict(found["headers"])[b"host"].decode()


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # no proxy of ours: not read
        ("127.0.0.1", ["198.51.100.1"], "127.0.0.1"),  # not even on this machine
        ("10.0.0.5", [], "10.0.0.5"),
        ("10.0.0.5", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.5", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),  # what the caller wrote
        ("10.0.0.5", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),  # in a header of its own
        ("10.0.0.5", ["10.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.5", ["6.6.6.6, 198.51.100.1, 10.0.0.6"], "198.51.100.1"),  # two proxies
        ("10.0.0.5", ["198.51.100.1:5555"], "198.51.100.1"),
        ("10.0.0.5", ["[2001:db8::1]:5555"], "2001:db8::1"),
        ("fd00::1", ["2001:db8::1"], "2001:db8::1"),
        ("::ffff:10.0.0.5", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("10.0.0.5", ["6.6.6.6, unknown"], "10.0.0.5"),  # no address: nothing left of it counts
        ("10.0.0.5", ["6.6.6.6, <script>, 10.0.0.6"], "10.0.0.6"),
        ("10.0.0.5", [""], "10.0.0.5"),
    ],
)
async def test_the_caller_is_whom_the_outermost_proxy_heard(peer, forwarded, client):
    headers = [("For", value) for value in forwarded]
    assert (await seen(peer, *headers))[0] == client


async def test_scheme_and_host_are_read_from_proxies_alone():
    told = [("For", "198.51.100.1"), ("Proto", "https"), ("Host", "waybill.example")]
    assert (await seen("10.0.0.5", *told))[1:] == ("https", "waybill.example")
    assert (await seen("203.0.113.9", *told))[1:] == ("http", "waybill.test")


async def test_a_proxy_that_adds_overrules_what_the_caller_sent():
    told = [("For", "1.1.1.1"), ("Proto", "https, http"), ("Host", "evil.example, waybill.example")]
    assert (await seen("10.0.0.5", *told))[1:] == ("http", "waybill.example")


@pytest.mark.parametrize("proxies", ["", "203.0.113.0/24"])
async def test_guessing_is_throttled_whatever_the_header_says(database_url, tmp_path, proxies):
    config = settings_for(tmp_path, database_url=database_url, trusted_proxies=proxies)
    async with running(config) as api:
        statuses = [await guess(api, f"6.6.6.{number}, 198.51.100.1") for number in range(14)]
        assert statuses.count(403) == TRIES_PER_PAIR
        assert statuses[-1] == 429
        other = await guess(api, "6.6.6.6, 198.51.100.2")
        # behind a declared proxy the caller next door is another one
        assert other == (403 if proxies else 429)


async def guess(api, forwarded):
    page = await api.http.get("/sign-in")
    token = page.text.partition('name="form_token" value="')[2].partition('"')[0]
    form = {"form_token": token.replace("&amp;", "&"), "email": "a@example.com", "password": "x"}
    headers = {"X-Forwarded-For": forwarded}
    return (await api.http.post("/sign-in", data=form, headers=headers)).status_code
