"""A synchronous client of Waybill's API for single requests."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import IO, Any

import httpx
import typer

from broker.completion import Json
from cli.client.server import Server, ServerError, configured, refusal_error, unreachable
from cli.messages import complain

TIMEOUT = httpx.Timeout(30, connect=5)
STREAM_TIMEOUT = httpx.Timeout(60, connect=5)  # the server sends a keep-alive every 10 s


class Client:
    """Asks a server. Every method raises ServerError where there is no good answer."""

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
        return self._ask("GET", path, params=params)

    def post(
        self, path: str, body: Json | None = None, *, idempotency_key: str | None = None
    ) -> Json:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
        return self._ask("POST", path, json=body, headers=headers)

    def upload(self, file: IO[bytes], name: str, *, purpose: str) -> Json:
        """Upload a file, as it is read."""
        return self._ask("POST", "/files", data={"purpose": purpose}, files={"file": (name, file)})

    def download(self, path: str, file: IO[bytes]) -> None:
        """Write an answer to a file, from its beginning, as it comes."""
        file.seek(0)
        file.truncate()
        with self._streamed(path) as response:
            for piece in response.iter_bytes():
                file.write(piece)

    def text(self, path: str, params: Mapping[str, str | int] | None = None) -> str:
        """Return an answer that is no JSON, as it came."""
        return self._answer("GET", path, params=params).text

    @contextlib.contextmanager
    def lines(self, path: str, headers: Mapping[str, str]) -> Iterator[Iterator[str]]:
        """Open a streamed answer and give its lines as they come."""
        with self._streamed(path, headers=headers) as response:
            yield response.iter_lines()

    def close(self) -> None:
        self._http.close()

    @contextlib.contextmanager
    def _streamed(self, path: str, **details: Any) -> Iterator[httpx.Response]:
        try:
            with self._http.stream("GET", path, timeout=STREAM_TIMEOUT, **details) as response:
                if response.is_error:
                    response.read()
                    raise refusal_error(self.server, response)
                yield response
        except httpx.TransportError as error:
            raise unreachable(self.server, error) from error

    def _answer(self, method: str, path: str, **details: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **details)
        except httpx.TransportError as error:
            raise unreachable(self.server, error) from error
        if response.is_error:
            raise refusal_error(self.server, response)
        return response

    def _ask(self, method: str, path: str, **details: Any) -> Json:
        response = self._answer(method, path, **details)
        try:
            answer: Json = response.json()
        except ValueError:
            raise ServerError(f"{self.server.url} is not a Waybill: it answers no JSON") from None
        return answer


@contextlib.contextmanager
def connected(client: Client | None = None) -> Iterator[Client]:
    """Give a command its client; a ServerError becomes one line on stderr and exit code 1."""
    client = client or Client(configured())
    try:
        yield client
    except ServerError as error:
        complain(str(error))
        raise typer.Exit(1) from None
    except httpx.InvalidURL as error:
        complain(f"WAYBILL_URL {client.server.url!r} is no address: {error}")
        raise typer.Exit(1) from None
    finally:
        client.close()


def providers_of_server() -> list[str]:
    """Return the providers of the server that commands talk to; none where no server answers."""
    client = Client(configured())
    with contextlib.closing(client), contextlib.suppress(ServerError, httpx.InvalidURL):
        return [str(row["slug"]) for row in client.get("/providers")["data"]]
    return []
