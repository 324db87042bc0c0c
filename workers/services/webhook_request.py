"""One POST of a delivery: signed, guarded, bounded. Whatever the receiver does becomes an answer.

An answer counts once all of it has come (or the first 64 kB: the rest is not read), within 15 s.
Redirects are not followed; what is reached is judged by `egress`.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from broker.settings import Settings
from workers.adapters.errors.retry_after import seconds
from workers.egress import Bounds, Policy, RefusedError, TooLargeError, guarded_client, parse

SECONDS = 15.0
MAX_ANSWER_BYTES = 64_000
KEPT_CHARACTERS = 2_000
HEADERS = {"content-type": "application/json", "user-agent": "Waybill-Webhooks/1"}


@dataclass(frozen=True, slots=True)
class ReceiverAnswer:
    """What came of a POST."""

    status: int | None = None
    error: str | None = None  # why there is no whole answer
    body: str | None = None  # cut
    retry_after: float | None = None  # seconds

    @property
    def counted_status(self) -> int | None:
        """The status, where the answer came whole."""
        return None if self.error else self.status


class WebhookClient:
    """Posts to addresses that callers chose."""

    def __init__(
        self,
        settings: Settings,
        *,
        connections: int,
        limit: float = SECONDS,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        self._policy = Policy(networks=settings.allowed_networks)
        bounds = Bounds(MAX_ANSWER_BYTES, limit)
        self._client = guarded_client(self._policy, bounds, verify=verify, connections=connections)

    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> ReceiverAnswer:
        """Send and read. Never raises for what the receiver does, or for where the URL leads."""
        try:
            parse(url, self._policy)  # as it was written, before any other parser tidies it
            sending = self._client.stream(
                "POST", url, content=content, headers={**headers, **HEADERS}
            )
            async with sending as response:
                return await _read(response)
        except RefusedError as refusal:
            return ReceiverAnswer(error=f"The URL may not be called: {refusal}.")
        except (httpx.TransportError, httpx.InvalidURL) as error:
            return ReceiverAnswer(error=f"{error}.")

    async def aclose(self) -> None:
        await self._client.aclose()


async def _read(response: httpx.Response) -> ReceiverAnswer:
    pieces: list[bytes] = []
    error = None
    try:
        async for piece in response.aiter_raw():
            pieces.append(piece)  # noqa: PERF401  # what came before a failure is kept
    except TooLargeError:
        pass  # the status is known, and nobody needs the rest
    except httpx.TransportError as failure:
        error = f"{failure}."
    return ReceiverAnswer(
        response.status_code, error, _text(pieces), _retry_after(response.headers)
    )


def _text(pieces: list[bytes]) -> str | None:
    """The beginning of a body as text that databases store."""
    text = b"".join(pieces)[: 4 * KEPT_CHARACTERS].decode(errors="replace").replace("\0", "")
    return text[:KEPT_CHARACTERS] or None


def _retry_after(headers: httpx.Headers) -> float | None:
    value = headers.get("retry-after")
    return None if value is None else seconds(value, datetime.now(UTC))
