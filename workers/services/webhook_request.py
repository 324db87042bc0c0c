"""One POST of a webhook delivery: signed, guarded, limited in time and size."""

import functools
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import orjson

from broker.enums import Scheme, SignatureKind
from broker.security.encryption import Encryption
from broker.settings import Settings
from broker.storage.database import Database
from broker.webhooks import signing
from broker.webhooks.claims import ClaimedDelivery, list_valid_secrets
from broker.webhooks.endpoint_options import build_secret_columns
from broker.webhooks.endpoints import NewWorkspaceSecret, ensure_workspace_secret
from workers.adapters.errors.retry_after import seconds
from workers.egress import Bounds, Policy, RefusedError, TooLargeError, create_guarded_client, parse

CACHED_SECRETS = 4_096  # decrypting a secret takes longer than signing with it


class HeaderSigner:
    """Decrypts the secrets of receivers and signs with them."""

    def __init__(self, database: Database, encryption: Encryption) -> None:
        self._database = database
        self._encryption = encryption
        self._open = functools.lru_cache(CACHED_SECRETS)(encryption.decrypt)

    async def headers(self, delivery: ClaimedDelivery, now: int) -> dict[str, str]:
        """Return the headers of this attempt, without those of every attempt."""
        secrets = delivery.secrets or await self._first_secrets(delivery.workspace_id, now)
        extra = orjson.loads(self._open(delivery.headers)) if delivery.headers else {}
        signatures = signing.build_headers(
            delivery.scheme,
            [self._open(secret) for secret in secrets],
            event_id=delivery.event_id,
            timestamp=now // 1000,
            body=delivery.payload,
            subject=f"{delivery.subject_id}-{delivery.event_type.rpartition('.')[2]}",
        )
        return {**extra, **signatures}

    async def sign(
        self, workspace_id: str, message_id: str, content: bytes, now: int
    ) -> dict[str, str]:
        """Return the headers of a message that is no delivery, signed with a workspace's secret."""
        secrets = await self._first_secrets(workspace_id, now)
        return signing.build_headers(
            Scheme.STANDARD,
            [self._open(secret) for secret in secrets],
            event_id=message_id,
            timestamp=now // 1000,
            body=content,
            subject=message_id,
        )

    async def _first_secrets(self, workspace_id: str, now: int) -> list[str]:
        """Create the secret of a workspace that has none, and return it in a list."""
        columns, _ = build_secret_columns(SignatureKind.V1, self._encryption)
        fresh = NewWorkspaceSecret(workspace_id, columns["secret"], now)
        row = await self._database.write(ensure_workspace_secret, fresh)
        return list(list_valid_secrets(row, now))


SECONDS = 15.0
MAX_ANSWER_BYTES = 64_000
KEPT_CHARACTERS = 2_000
HEADERS = {"content-type": "application/json", "user-agent": "Waybill-Webhooks/1"}


@dataclass(frozen=True, slots=True)
class ReceiverAnswer:
    """The result of a POST."""

    status: int | None = None
    error: str | None = None  # the reason if there is no whole answer
    body: str | None = None  # its beginning
    retry_after: float | None = None  # seconds

    @property
    def counted_status(self) -> int | None:
        """The status of a whole answer."""
        return None if self.error else self.status


class WebhookClient:
    """Sends to URLs that callers chose."""

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
        self._client = create_guarded_client(
            self._policy, bounds, verify=verify, connections=connections
        )

    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> ReceiverAnswer:
        """Send a request and return the answer, or the error of the receiver or of the URL."""
        try:
            parse(url, self._policy)  # as it was written, before another parser changes it
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
            pieces.append(piece)  # noqa: PERF401  # the part before a failure is kept
    except TooLargeError:
        pass  # the status is known, and the rest is not needed
    except httpx.TransportError as failure:
        error = f"{failure}."
    return ReceiverAnswer(
        response.status_code, error, _text(pieces), _retry_after(response.headers)
    )


def _text(pieces: list[bytes]) -> str | None:
    """Return the beginning of a body as text that databases store."""
    text = b"".join(pieces)[: 4 * KEPT_CHARACTERS].decode(errors="replace").replace("\0", "")
    return text[:KEPT_CHARACTERS] or None


def _retry_after(headers: httpx.Headers) -> float | None:
    value = headers.get("retry-after")
    return None if value is None else seconds(value, datetime.now(UTC))
