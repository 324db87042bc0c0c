"""The headers of a delivery's attempt: its id, the moment, and a signature by each valid secret."""

import functools

import orjson

from broker.database import Database
from broker.sealing import Seal
from broker.webhooks import signing
from broker.webhooks.claims import ClaimedDelivery, valid_secrets
from broker.webhooks.endpoint_wishes import new_secret_columns
from broker.webhooks.vocabulary import SignatureKind
from broker.webhooks.workspace_secrets import NewWorkspaceSecret, ensure_workspace_secrets

OPENED = 4_096  # secrets kept open: opening one costs more than signing with it


class HeaderSigner:
    """Opens sealed secrets and signs with them."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal
        self._open = functools.lru_cache(OPENED)(seal.open)

    async def headers(self, delivery: ClaimedDelivery, now: int) -> dict[str, str]:
        """Return all headers of this attempt but those that are the same for every one."""
        sealed = delivery.secrets or await self._first_secrets(delivery.workspace_id, now)
        extra = orjson.loads(self._open(delivery.headers)) if delivery.headers else {}
        stamps = signing.headers(
            delivery.scheme,
            [self._open(secret) for secret in sealed],
            event_id=delivery.event_id,
            timestamp=now // 1000,
            body=delivery.payload,
            subject=f"{delivery.subject_id}-{delivery.event_type.rpartition('.')[2]}",
        )
        return {**extra, **stamps}

    async def _first_secrets(self, workspace_id: str, now: int) -> list[str]:
        """Give the workspace its secret, now that one of its jobs names a URL."""
        columns, _ = new_secret_columns(SignatureKind.V1, self._seal)
        wish = NewWorkspaceSecret(workspace_id, columns["secret"], now)
        row = await self._database.write_grouped(ensure_workspace_secrets, wish)
        return list(valid_secrets(row, now))
