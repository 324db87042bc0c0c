"""Why a connection failed is said in plain words, never in those of the HTTP client."""

import re
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_exceptions import BadStatusLine, LineTooLong, TransferEncodingError

from workers.upstream.connection import describe_failure
from workers.upstream.decompression import DecodingError

KEY = ConnectionKey("api.example", 443, True, True, None, None, None)
JARGON = re.compile(
    r"aiohttp|httpx|errno|\[|\]|<|>|Connect call|message=|ssl:default|0x|None|Error\b",
    re.IGNORECASE,
)


def connector(error):
    return aiohttp.ClientConnectorError(KEY, error)


def caused(outer, inner):
    outer.__cause__ = inner
    return outer


REQUEST = aiohttp.RequestInfo("https://api.example", "POST", {}, "https://api.example")
UNREACHED = [
    (connector(ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 9)")), "refused"),
    (connector(OSError(113, "No route to host")), "No route to host"),
    (connector(socket.gaierror(-2, "Name or service not known")), "api.example could not be res"),
    (aiohttp.ClientConnectorDNSError(KEY, OSError(None, "Domain name not found")), "resolved"),
    (connector(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version (_ssl.c:1)")), "TLS"),
    (aiohttp.ClientConnectorCertificateError(KEY, ValueError("[SSL] verify failed")), "is not val"),
    (aiohttp.ConnectionTimeoutError("Connection timeout to host"), "in time"),
    (aiohttp.InvalidURL("::"), "base_url"),
    (aiohttp.NonHttpUrlClientError("ftp://x"), "base_url"),
]
BROKEN = [
    (aiohttp.ServerDisconnectedError(), "before it answered"),
    (
        caused(
            aiohttp.ClientPayloadError("Response payload is not completed: <TransferEnc…>"),
            TransferEncodingError("Not enough data to satisfy transfer length header."),
        ),
        "in the middle of its answer",
    ),
    (aiohttp.ClientOSError(104, "Connection reset by peer"), "Connection reset by peer"),
    (ConnectionResetError(104, "Connection reset by peer"), "the connection was reset"),
    (aiohttp.ClientResponseError(REQUEST, (), status=400, message="Bad status"), "not valid HTTP"),
    (
        caused(
            aiohttp.ClientResponseError(REQUEST, (), status=400, message="Got more than 65536"),
            LineTooLong(b"x: y", 65536),
        ),
        "a header line of more than",
    ),
    (BadStatusLine("oops"), "not valid HTTP"),
    (DecodingError("Error -3 while decompressing data"), "content-encoding"),
    (aiohttp.ClientError(""), "dropped the connection"),
    (RuntimeError("Session is closed"), "dropped the connection"),
]


@pytest.mark.parametrize(("error", "words"), UNREACHED, ids=lambda each: type(each).__name__)
def test_a_provider_that_was_not_reached(error, words):
    never_left, message = describe_failure(error, "p", sent=True)
    assert never_left
    assert words in message
    assert message.startswith("p could not be reached: ")
    assert not JARGON.search(message), message


@pytest.mark.parametrize(("error", "words"), BROKEN, ids=lambda each: type(each).__name__)
def test_a_connection_that_broke(error, words):
    never_left, message = describe_failure(error, "p", sent=True)
    assert not never_left
    assert words in message
    assert not JARGON.search(message), message
    assert describe_failure(error, "p", sent=False)[0]
