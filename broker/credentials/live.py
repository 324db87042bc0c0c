"""Keep all workspaces' credentials in memory; read them again within a second of a change.

Jobs need no database query for them. A credential is decrypted at its first use, and the secret is
kept in memory only.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import orjson

from broker.accounts import Principal
from broker.background import Service
from broker.credentials import records
from broker.routing.workspace_credentials import WorkspaceCredential, WorkspaceCredentials
from broker.security.encryption import Encryption
from broker.security.redaction import learn
from broker.storage.database import Database

REFRESH_SECONDS = 1.0


class LiveCredentials:
    """Every key as it was a moment ago; `refresh` looks whether anything has changed."""

    def __init__(self, database: Database, seal: Encryption, lit: Collection[str]) -> None:
        self._database = database
        self._seal = seal
        self._lit = frozenset(lit)  # providers that the installation can call itself
        self._version: tuple[int, int] | None = None
        self._of: dict[str, dict[str, list[WorkspaceCredential]]] = {}  # by workspace and provider
        self._sealed: dict[str, str] = {}
        self._open: dict[str, str] = {}
        self._on_change: Callable[[], None] = lambda: None
        self._service = Service("credentials", REFRESH_SECONDS, self._reload)

    def start(self, on_change: Callable[[], None] = lambda: None) -> None:
        """Follow the changes from now on, and call `on_change` after each."""
        self._on_change = on_change
        self._service.start()

    async def close(self) -> None:
        await self._service.stop()

    async def refresh(self) -> bool:
        """Read again if anything has changed; return whether it had."""
        version = await self._database.read(records.version)
        if version == self._version:
            return False
        self._take(await self._database.read(records.everything))
        self._version = version
        return True

    def with_credentials(self, principal: Principal) -> Principal:
        """Return the caller with the credentials that it may use."""
        found = self._of.get(principal.workspace_id)
        if not found:
            return principal
        mine = {
            slug: [each for each in keys if each.is_for(principal.api_key_id, principal.user_id)]
            for slug, keys in found.items()
        }
        own = WorkspaceCredentials(mine, unconfigured=frozenset(mine) - self._lit)
        return replace(principal, own_keys=own)

    def secret(self, credential_id: str) -> str | None:
        """Return a key, or None where it is gone or disabled. Raises UnavailableError."""
        if credential_id not in self._sealed:
            return None
        if credential_id not in self._open:
            secret = self._open[credential_id] = self._seal.open(self._sealed[credential_id])
            learn((secret, *secret.split(":")))
        return self._open[credential_id]

    def rules_out_shared(self, workspace_id: str, provider: str, model: str) -> bool:
        """Return whether this workspace forbids the installation's key here."""
        keys = self._of.get(workspace_id, {}).get(provider, ())
        return any(each.rules_out_shared(model) for each in keys)

    def providers(self) -> frozenset[str]:
        """Return the providers of which any workspace has a key."""
        return frozenset(slug for each in self._of.values() for slug in each)

    async def _reload(self) -> None:
        if await self.refresh():
            self._on_change()

    def _take(self, rows: Sequence[Any]) -> None:
        known: dict[str, dict[str, list[WorkspaceCredential]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for row in rows:
            known[row.workspace_id][row.provider].append(_workspace_credential(row))
        sealed = {row.id: row.sealed for row in rows if not row.disabled}
        self._open = {
            id_: key for id_, key in self._open.items() if self._sealed.get(id_) == sealed.get(id_)
        }
        self._of, self._sealed = {id_: dict(each) for id_, each in known.items()}, sealed


def _workspace_credential(row: Any) -> WorkspaceCredential:
    return WorkspaceCredential(
        row.id,
        row.provider,
        row.name or row.label,
        is_fallback=row.is_fallback,
        is_required=row.is_required,
        is_byok_only=row.is_byok_only,
        disabled=row.disabled,
        is_refused=row.disabled_reason is not None,
        allowed_models=_set(row.allowed_models),
        allowed_key_ids=_set(row.allowed_key_ids),
        allowed_user_ids=_set(row.allowed_user_ids),
    )


def _set(stored: str | None) -> frozenset[str] | None:
    return None if stored is None else frozenset(orjson.loads(stored))
