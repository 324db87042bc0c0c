"""A synchronous client of Waybill's API for single requests."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import IO, Any

import httpx
import typer

from broker.completion import Json
from cli.client.server import Server, ServerError, configured, refusal_error, unreachable_error
from cli.messages import print_error

TIMEOUT = httpx.Timeout(30, connect=5)
STREAM_TIMEOUT = httpx.Timeout(60, connect=5)  # the server sends a keep-alive every 10 s


class Client:
    """A client of one server. Every method raises ServerError where there is no good answer."""

    def __init__(self, server: Server, transport: httpx.BaseTransport | None = None) -> None:
        self.server = server
        self._http = httpx.Client(
            base_url=server.api,
            headers=server.headers,
            timeout=TIMEOUT,
            trust_env=not server.is_local,
            transport=transport,
        )

    def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Json:
        return self._request_json("GET", path, params=params)

    def post(
        self, path: str, body: Json | None = None, *, idempotency_key: str | None = None
    ) -> Json:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
        return self._request_json("POST", path, json=body, headers=headers)

    def upload(self, file: IO[bytes], name: str, *, purpose: str) -> Json:
        """Upload a file in pieces."""
        return self._request_json(
            "POST", "/files", data={"purpose": purpose}, files={"file": (name, file)}
        )

    def download(self, path: str, file: IO[bytes]) -> None:
        """Write an answer into a file in pieces; replace what the file contains."""
        file.seek(0)
        file.truncate()
        with self._stream(path) as response:
            for piece in response.iter_bytes():
                file.write(piece)

    def text(self, path: str, params: Mapping[str, str | int] | None = None) -> str:
        """Return an answer that is not JSON, unchanged."""
        return self._request("GET", path, params=params).text

    @contextlib.contextmanager
    def lines(self, path: str, headers: Mapping[str, str]) -> Iterator[Iterator[str]]:
        """Open a streamed answer and yield its lines as they arrive."""
        with self._stream(path, headers=headers) as response:
            yield response.iter_lines()

    def close(self) -> None:
        self._http.close()

    @contextlib.contextmanager
    def _stream(self, path: str, **details: Any) -> Iterator[httpx.Response]:
        try:
            with self._http.stream("GET", path, timeout=STREAM_TIMEOUT, **details) as response:
                if response.is_error:
                    response.read()
                    raise refusal_error(self.server, response)
                yield response
        except httpx.TransportError as error:
            raise unreachable_error(self.server, error) from error

    def _request(self, method: str, path: str, **details: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **details)
        except httpx.TransportError as error:
            raise unreachable_error(self.server, error) from error
        if response.is_error:
            raise refusal_error(self.server, response)
        return response

    def _request_json(self, method: str, path: str, **details: Any) -> Json:
        response = self._request(method, path, **details)
        try:
            answer: Json = response.json()
        except ValueError:
            raise ServerError(
                f"{self.server.url} is not a Waybill: its answer is not JSON"
            ) from None
        return answer


@contextlib.contextmanager
def connected(client: Client | None = None) -> Iterator[Client]:
    """Yield a client for a command. On a ServerError, print one line and exit with 1."""
    client = client or Client(configured())
    try:
        yield client
    except ServerError as error:
        print_error(str(error))
        raise typer.Exit(1) from None
    except httpx.InvalidURL as error:
        print_error(f"WAYBILL_URL {client.server.url!r} is not a URL: {error}")
        raise typer.Exit(1) from None
    finally:
        client.close()


def providers_of_server() -> list[str]:
    """Return the providers of the server that commands talk to; an empty list without a server."""
    client = Client(configured())
    with contextlib.closing(client), contextlib.suppress(ServerError, httpx.InvalidURL):
        return [str(row["slug"]) for row in client.get("/providers")["data"]]
    return []
