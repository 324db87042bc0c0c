"""The guarded client against real servers on this machine."""

import asyncio
import socket
import ssl
import threading
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network

import httpx
import pytest
import trustme

from workers.egress import Bounds, Policy, RefusedError, TooLargeError, create_guarded_client
from workers.egress.transport import GuardedTransport

LOOPBACK = Policy(networks=[ip_network("127.0.0.0/8")])
BOUNDS = Bounds(max_bytes=1000, seconds=2)


@asynccontextmanager
async def server(answer, *, tls=None, host="127.0.0.1"):
    """A server that says `answer` to everything; yields its port and the requests it heard."""
    heard = []

    async def serve(reader, writer):
        try:
            heard.append((await reader.readuntil(b"\r\n\r\n")).decode())
            for piece in [answer] if isinstance(answer, bytes) else answer:
                if isinstance(piece, float):
                    await asyncio.sleep(piece)
                else:
                    writer.write(piece)
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(serve, host, 0, ssl=tls)
    try:
        yield running.sockets[0].getsockname()[1], heard
    finally:
        running.close()


def ok(body=b"hello", *headers):
    lines = [b"HTTP/1.1 200 OK", b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def client(*answers, policy=LOOPBACK, bounds=BOUNDS, verify=None):
    """A client whose resolver gives one of `answers` a call, and counts the calls."""
    calls = []

    async def resolve(host, port):
        calls.append(host)
        return [ip_address(a) for a in answers[min(len(calls), len(answers)) - 1]]

    transport = GuardedTransport(policy, bounds, resolve=resolve, verify=verify)
    return httpx.AsyncClient(transport=transport), calls


async def test_a_checked_name_is_requested_with_its_own_host_header():
    http, calls = client(["127.0.0.1"])
    async with server(ok()) as (port, heard), http:
        answer = await http.get(f"http://shop.example:{port}/a")
    assert answer.text == "hello"
    assert f"host: shop.example:{port}" in heard[0].lower()
    assert calls == ["shop.example"]


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["10.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::1"], ["::ffff:127.0.0.1"],
     ["169.254.169.254"], ["64:ff9b::7f00:1"], ["fd00:ec2::254"], ["2002:7f00:1::1"]],
)  # fmt: skip
async def test_a_name_with_any_address_that_is_not_public_is_refused(addresses):
    http, _ = client(addresses, policy=Policy())
    async with http:
        with pytest.raises(RefusedError) as refusal:
            await http.get("https://shop.example/")
    assert not any(address in str(refusal.value) for address in addresses)


async def test_an_answer_that_changes_after_the_check_changes_nothing():
    """Rebinding: allowed at first, and another machine ever after."""
    http, calls = client(["127.0.0.1"], ["127.0.0.2"])
    async with (
        server(ok(b"first")) as (port, heard),
        http,
    ):
        answer = await http.get(f"http://shop.example:{port}/")
    assert answer.text == "first"
    assert calls == ["shop.example"]
    assert len(heard) == 1


async def test_each_request_is_checked_anew():
    http, calls = client(["127.0.0.1"], ["10.0.0.1"])
    async with server(ok()) as (port, heard), http:
        await http.get(f"http://shop.example:{port}/")
        with pytest.raises(RefusedError):
            await http.get(f"http://shop.example:{port}/")
    assert len(calls) == 2
    assert len(heard) == 1


async def test_literal_addresses_are_checked_without_a_resolver():
    http, calls = client(policy=Policy())
    async with http:
        for host in ("127.0.0.1", "[::1]", "[::ffff:169.254.169.254]"):
            with pytest.raises(RefusedError):
                await http.get(f"https://{host}/")
    assert calls == []


async def test_redirects_are_not_followed():
    target = b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"
    http = create_guarded_client(LOOPBACK, BOUNDS)
    async with server(target) as (port, _), http:
        answer = await http.get(f"http://127.0.0.1:{port}/")
    assert answer.status_code == 302


async def test_proxies_of_the_environment_are_ignored(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with server(ok()) as (port, _), create_guarded_client(LOOPBACK, BOUNDS) as http:
        assert (await http.get(f"http://127.0.0.1:{port}/")).status_code == 200


async def test_no_cookie_goes_from_one_request_to_the_next():
    http, _ = client(["127.0.0.1"])
    async with server(ok(b"", b"set-cookie: a=b")) as (port, heard), http:
        await http.get(f"http://shop.example:{port}/")
        http.cookies.clear()
        await http.get(f"http://shop.example:{port}/")
    assert "cookie" not in heard[1].lower()


async def test_a_long_body_is_cut_at_the_bound():
    http, _ = client(["127.0.0.1"])
    got = []

    async def read(answer):
        async for piece in answer.aiter_raw():
            got[:] = [*got, piece]

    async with (
        server(ok(b"x" * 5000)) as (port, _),
        http,
        http.stream("GET", f"http://shop.example:{port}/") as answer,
    ):
        with pytest.raises(TooLargeError):
            await read(answer)
    assert b"".join(got) == b"x" * 1000


async def test_a_packed_body_is_not_unpacked():
    async with (
        server(ok(b"\x1f\x8b bytes", b"content-encoding: gzip")) as (port, _),
        create_guarded_client(LOOPBACK, BOUNDS) as http,
    ):
        assert (await http.get(f"http://127.0.0.1:{port}/")).content == b"\x1f\x8b bytes"


@pytest.mark.parametrize(
    "answer",
    [
        [b"HTTP/1.1 200 OK\r\n", 5.0],
        [b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", *[b"x", 0.2] * 9],
    ],
    ids=["silent", "dripping"],
)
async def test_all_of_it_must_come_in_time(answer):
    http, _ = client(["127.0.0.1"], bounds=Bounds(1000, 0.5))
    async with server(answer) as (port, _), http:
        with pytest.raises(httpx.TimeoutException):
            await http.get(f"http://shop.example:{port}/")


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-le"])
async def test_a_failing_connection_is_a_transport_error_without_addresses(answer):
    http, _ = client(["127.0.0.1"])
    async with server(answer) as (port, _), http:
        with pytest.raises(httpx.TransportError) as failure:
            await http.get(f"http://shop.example:{port}/")
    assert "127.0.0.1" not in str(failure.value)


async def test_a_refused_connection_tells_no_address():
    async with server(b"") as (port, _):
        pass
    http, _ = client(["127.0.0.1"])
    async with http:
        with pytest.raises(httpx.ConnectError) as failure:
            await http.get(f"http://shop.example:{port}/")
    assert "127.0.0.1" not in str(failure.value)


async def test_an_unknown_name_does_not_resolve():
    async with create_guarded_client(Policy(), BOUNDS) as http:
        with pytest.raises(httpx.ConnectError, match="does not resolve"):
            await http.get("https://no-such-name.invalid/")


async def test_the_systems_resolver_is_checked_too():
    async with create_guarded_client(Policy(), BOUNDS) as http:
        with pytest.raises(RefusedError):
            await http.get("https://localhost/")


async def test_names_that_nobody_answers_for_hold_up_no_others(monkeypatch):
    answered, ask = threading.Event(), socket.getaddrinfo

    def getaddrinfo(host, *more, **options):
        if host == "silent.example":
            answered.wait(10)
            raise socket.gaierror
        return ask(host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with create_guarded_client(
        Policy(), BOUNDS
    ) as http:  # asyncio's own threads are 32 at most
        silent = [asyncio.ensure_future(http.get("https://silent.example/")) for _ in range(50)]
        await asyncio.sleep(0.05)
        async with asyncio.timeout(1):
            with pytest.raises(RefusedError):
                await http.get("https://localhost/")
        answered.set()
        failures = await asyncio.gather(*silent, return_exceptions=True)
    assert {str(failure) for failure in failures} == {"the host's name does not resolve"}


@pytest.fixture(scope="module")
def certificate():
    """A certificate for shop.example, as server and client contexts."""
    authority = trustme.CA()
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("shop.example").configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return serving, trusting


async def test_tls_is_made_for_the_name_though_the_address_is_pinned(certificate):
    serving, trusting = certificate
    names = []
    serving.sni_callback = lambda _socket, name, _context: names.append(name)
    http, _ = client(["127.0.0.1"], verify=trusting)
    async with server(ok(), tls=serving) as (port, _), http:
        assert (await http.get(f"https://shop.example:{port}/")).text == "hello"
        with pytest.raises(httpx.ConnectError, match="certificate"):
            await http.get(f"https://other.example:{port}/")
    assert names[0] == "shop.example"
