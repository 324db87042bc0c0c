"""The server that commands use: its URL, the key, and its refusals in one line."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from broker.security.secret_values import clean_secret

DEFAULT_URL = "http://127.0.0.1:8080"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
SHOWN_TEXT = 300  # characters of an answer that is not JSON
MAX_RETRY_AFTER_SECONDS = 60.0


class ServerError(Exception):
    """The server refused a request or did not answer; the text is one line for a person."""

    def __init__(self, message: str, *, status: int | None = None, pause: float = 0.0) -> None:
        super().__init__(message)
        self.status = status  # None: there was no answer at all
        self.pause = pause  # seconds to wait before the next try (Retry-After)

    @property
    def is_passing(self) -> bool:
        """True where the same request can succeed later."""
        return self.status is None or self.status == httpx.codes.TOO_MANY_REQUESTS or (
            self.status >= httpx.codes.INTERNAL_SERVER_ERROR
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Server:
    """An address and a key."""

    url: str = DEFAULT_URL
    key: str = field(default="", repr=False)
    key_source: str = ""  # where the key was found; part of the message when it is refused

    @property
    def api(self) -> str:
        return f"{self.url}/api/v1"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    @property
    def is_local(self) -> bool:
        """True where no proxy of the environment may be used."""
        return urlsplit(self.url).hostname in LOOPBACK


def configured(environ: Mapping[str, str] = os.environ) -> Server:
    """Return the server that `WAYBILL_URL` and the first key found name.

    Without them, it is the one that `waybill up` runs on this data directory.
    Raises InvalidSecretError for a key that cannot be sent.
    """
    data_dir = Path(environ.get("WAYBILL_DATA_DIR") or ".waybill").expanduser()
    url = (environ.get("WAYBILL_URL") or running_at(data_dir) or DEFAULT_URL).rstrip("/")
    for suffix in ("/api/v1", "/v1"):
        url = url.removesuffix(suffix)
    for name in ("WAYBILL_API_KEY", "WAYBILL_BOOTSTRAP_KEY"):
        if key := clean_secret(environ.get(name, ""), name):
            return Server(url, key, name)
    key = _kept(key_file(data_dir))
    return Server(url, key, str(key_file(data_dir)) if key else "")


def url_file(data_dir: Path) -> Path:
    """Return the file in which a running `waybill up` keeps its address."""
    return data_dir / "url"


def running_at(data_dir: Path) -> str:
    """Return the URL of the `waybill up` that runs on a data directory; empty where none does."""
    return _kept(url_file(data_dir))


def key_file(data_dir: Path) -> Path:
    """Return the file with the key that `waybill up` made at its first start."""
    return data_dir / "api_key"


def _kept(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def unreachable_error(server: Server, error: httpx.TransportError) -> ServerError:
    """Return the error for a missing answer, with the remedy."""
    if isinstance(error, httpx.UnsupportedProtocol):
        return ServerError(f"WAYBILL_URL {server.url!r} is not a URL: it must begin with http://")
    if isinstance(error, httpx.ConnectError):
        return ServerError(f"no Waybill at {server.url}: start one with `waybill up`")
    if isinstance(error, httpx.RemoteProtocolError) and "illegal" in str(error):
        return ServerError(f"{server.url} is not a Waybill: it does not speak HTTP")
    failure = (
        "did not answer in time"
        if isinstance(error, httpx.TimeoutException)
        else "closed the connection"
    )
    return ServerError(f"{server.url} {failure} ({type(error).__name__})")


def refusal_error(server: Server, response: httpx.Response) -> ServerError:
    """Return the error for a refusal of the server."""
    status = response.status_code
    if status == httpx.codes.UNAUTHORIZED:
        return ServerError(describe_key_refusal(server, message(response)), status=status)
    pause = _read_retry_after(response)
    return ServerError(f"{message(response)} (HTTP {status})", status=status, pause=pause)


def message(response: httpx.Response) -> str:
    """Return the message of an error answer: problem details, OpenRouter's envelope, or text."""
    try:
        body: Any = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict):
        error = body.get("error")
        text = error.get("message") if isinstance(error, dict) else error
        text = text or body.get("detail") or body.get("title")
        if isinstance(text, str):
            return text
    return " ".join(response.text.split())[:SHOWN_TEXT] or response.reason_phrase


def _read_retry_after(response: httpx.Response) -> float:
    seconds = response.headers.get("retry-after", "")
    return min(float(seconds), MAX_RETRY_AFTER_SECONDS) if seconds.isdecimal() else 0.0


def describe_key_refusal(server: Server, text: str) -> str:
    """Describe why the server refused the key, and where the key was found."""
    if not server.key:
        return (
            f"{server.url} requires an API key: set WAYBILL_API_KEY, or run this where the "
            "`.waybill/api_key` of its `waybill up` is"
        )
    return f"{server.url} refused the API key of {server.key_source}: {text}"
