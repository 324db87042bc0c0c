"""Bearer key → who is calling. A key is looked up in the database at most once a second."""

import time

from starlette.requests import Request

from broker.accounts import Principal, authenticate
from broker.database import Database
from broker.errors import AuthenticationError

FRESH_SECONDS = 1.0
KEPT_KEYS = 10_000


class Keyring:
    """Keys seen lately. A revoked key stops working within a second."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[str, tuple[float, Principal]] = {}

    async def principal(self, request: Request) -> Principal:
        """Return whose request this is. Raises AuthenticationError."""
        key = _bearer(request)
        seen = self._seen.get(key)
        if seen is not None and time.monotonic() - seen[0] < FRESH_SECONDS:
            return seen[1]
        principal = await self._database.read(authenticate, key)
        if principal is None:
            self._seen.pop(key, None)
            raise AuthenticationError(
                "This API key is unknown, revoked or disabled. `waybill keys create` makes one."
            )
        if len(self._seen) >= KEPT_KEYS:
            self._seen.clear()
        self._seen[key] = (time.monotonic(), principal)
        return principal


def _bearer(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise AuthenticationError(
            "No API key: send the header `Authorization: Bearer <key>`.", param="Authorization"
        )
    return key.strip()
