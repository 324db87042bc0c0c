"""Keep all workspaces' credentials in memory; read them again within a second of a change.

Jobs need no database query for them. A credential is decrypted at its first use, and the secret is
kept in memory only.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import orjson

from broker.accounts import Principal
from broker.background import Service
from broker.credentials import records
from broker.credentials.records import CredentialRow
from broker.routing.workspace_credentials import WorkspaceCredential, WorkspaceCredentials
from broker.security.encryption import Encryption
from broker.security.redaction import learn
from broker.storage.database import Database, SeenVersion

REFRESH_SECONDS = 1.0


class LiveCredentials:
    """All credentials as the database had them a second ago; `refresh` reads them again.

    `configured` are the providers that the installation can call with its own keys.
    """

    def __init__(
        self, database: Database, encryption: Encryption, configured: Collection[str]
    ) -> None:
        self._database = database
        self._encryption = encryption
        self._configured = frozenset(configured)
        self._seen = SeenVersion()
        self._version: tuple[int, int] | None = None
        # By workspace and provider.
        self._credentials: dict[str, dict[str, list[WorkspaceCredential]]] = {}
        self._encrypted: dict[str, str] = {}  # by credential
        self._decrypted: dict[str, str] = {}
        self._on_change: Callable[[], None] = lambda: None
        self._service = Service("credentials", REFRESH_SECONDS, self._reload)

    def start(self, on_change: Callable[[], None] = lambda: None) -> None:
        """Read changes from now on, and call `on_change` after each."""
        self._on_change = on_change
        self._service.start()

    async def close(self) -> None:
        await self._service.stop()

    async def refresh(self) -> bool:
        """Read the credentials if any has changed; return whether one has."""
        if self._seen.is_current(self._database):
            return False
        seen = self._database.read_version()
        version = await self._database.read(records.version)
        has_changed = version != self._version
        if has_changed:
            self._replace(await self._database.read(records.list_all))
            self._version = version
        self._seen.version = seen
        return has_changed

    def with_credentials(self, principal: Principal) -> Principal:
        """Return the caller with the credentials that it may use."""
        found = self._credentials.get(principal.workspace_id)
        if not found:
            return principal
        usable = {
            slug: [
                each for each in keys if each.is_allowed(principal.api_key_id, principal.user_id)
            ]
            for slug, keys in found.items()
        }
        own = WorkspaceCredentials(usable, unconfigured=frozenset(usable) - self._configured)
        return replace(principal, own_keys=own)

    def secret(self, credential_id: str) -> str | None:
        """Return the secret of a credential, or None if it was deleted or disabled.

        Raises UnavailableError if no key of the installation decrypts it.
        """
        if credential_id not in self._encrypted:
            return None
        if credential_id not in self._decrypted:
            secret = self._encryption.decrypt(self._encrypted[credential_id])
            learn((secret, *secret.split(":")))
            self._decrypted[credential_id] = secret
        return self._decrypted[credential_id]

    def forbids_shared(self, workspace_id: str, provider: str, model: str) -> bool:
        """Return whether a workspace forbids the installation's key for this model."""
        keys = self._credentials.get(workspace_id, {}).get(provider, ())
        return any(each.forbids_shared(model) for each in keys)

    def providers(self) -> frozenset[str]:
        """Return the providers for which any workspace has a credential."""
        return frozenset(slug for each in self._credentials.values() for slug in each)

    async def _reload(self) -> None:
        if await self.refresh():
            self._on_change()

    def _replace(self, rows: Sequence[CredentialRow]) -> None:
        credentials: dict[str, dict[str, list[WorkspaceCredential]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for row in rows:
            credentials[row.workspace_id][row.provider].append(_workspace_credential(row))
        encrypted = {row.id: row.encrypted_secret for row in rows if not row.disabled}
        self._decrypted = {
            id_: secret
            for id_, secret in self._decrypted.items()
            if self._encrypted.get(id_) == encrypted.get(id_)
        }
        self._credentials = {id_: dict(each) for id_, each in credentials.items()}
        self._encrypted = encrypted


def _workspace_credential(row: CredentialRow) -> WorkspaceCredential:
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
