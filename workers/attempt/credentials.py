"""Calls with workspace credentials: choose the key, and handle its refusal."""

from dataclasses import dataclass, field, replace

import structlog
from sqlalchemy import Connection

from broker import credentials, webhooks
from broker.clock import now_ms
from broker.completion import AttemptAnswer, AttemptOutcome, ErrorType, Failure
from broker.credentials import CredentialRefusal, LiveCredentials
from broker.errors import UnavailableError
from broker.lifecycle import ClaimedJob
from broker.providers import configuration
from broker.providers.health import refuses_credential
from broker.providers.pacing import Pacer
from broker.settings import Settings
from broker.storage.database import Database
from broker.webhooks import WebhookEvent
from workers.adapters.base import Upstream
from workers.provider_routes import ProviderRoute, build_routes

RECORD_AGAIN_MS = 10_000  # between two records of refusals of the same key

_ACCOUNT_ERRORS = frozenset({ErrorType.RATE_LIMIT_EXCEEDED, ErrorType.PERMISSION_DENIED})

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CallCredentials:
    """The credentials with which this process calls providers."""

    database: Database
    known: LiveCredentials
    _recorded_at: dict[str, int] = field(default_factory=dict)
    """When the last refusal of each workspace credential was recorded (Unix ms)."""

    def upstream_for(self, job: ClaimedJob, route: ProviderRoute) -> Upstream | Failure:
        """Return the provider with the key for this job, or the reason why there is none.

        The headers in waybill.toml belong to the installation's account. A call with a workspace
        credential does not send them.
        """
        endpoint, known = job.endpoint, self.known
        if endpoint.credential is None:
            if known.forbids_shared(job.workspace_id, *endpoint.key):
                return _skip_failure(f"Only the workspace's own keys may call {endpoint.provider}.")
            if not route.is_shared:
                return _skip_failure(
                    f"Provider {endpoint.provider!r} is not configured at this worker."
                )
            return route.upstream
        try:
            secret = known.secret(endpoint.credential)
        except UnavailableError as error:
            log.warning(
                "credential.not_decrypted", credential=endpoint.credential, error=str(error)
            )
            return _skip_failure(str(error))
        if secret is None:
            return _skip_failure(f"The key {endpoint.credential} is disabled or deleted.")
        return replace(route.upstream, api_key=secret, headers={})

    async def record_refusal(self, job: ClaimedJob, failure: Failure) -> None:
        """Record that a provider refused a workspace credential; a 401 disables it."""
        credential = job.endpoint.credential
        assert credential is not None
        is_permanent = failure.error_type is ErrorType.AUTHENTICATION
        now = now_ms()
        if now - self._recorded_at.get(credential, 0) < RECORD_AGAIN_MS and not is_permanent:
            return
        self._recorded_at[credential] = now
        reason = f"{failure.http_status} {failure.error_type.value}: {failure.message[:300]}"
        log.warning("credential.refused", credential=credential, provider=job.endpoint.provider)
        refusal = CredentialRefusal(credential, reason, is_permanent, now)
        await self.database.write(_record_refusal, refusal)
        await self.known.refresh()


def _skip_failure(reason: str) -> Failure:
    return Failure(AttemptOutcome.SKIPPED, ErrorType.AUTHENTICATION, reason)


def is_account_failure(answer: AttemptAnswer) -> bool:
    """Return whether an answer is a failure of the key's account (401, 402, 403, 429)."""
    return isinstance(answer, Failure) and (
        refuses_credential(answer) or answer.error_type in _ACCOUNT_ERRORS
    )


def _record_refusal(connection: Connection, refusal: CredentialRefusal) -> None:
    """Record a refusal, and send an event if it disabled the credential."""
    row = credentials.record_refusal(connection, refusal)
    if row is None:
        return
    event = WebhookEvent(
        row.workspace_id,
        "credential.disabled",
        row.id,
        row.updated_at,
        {
            "id": row.id,
            "object": "credential",
            "provider": row.provider,
            "name": row.name,
            "label": row.label,
            "reason": row.disabled_reason,
        },
    )
    webhooks.fan_out(connection, [event])


def add_credential_providers(
    routes: dict[str, ProviderRoute], pacer: Pacer, known: LiveCredentials, settings: Settings
) -> None:
    """Add the providers for which only workspaces have credentials; their queues follow."""
    missing = known.providers() - routes.keys()
    if not missing:
        return
    built = build_routes(configuration.load_byok_providers(settings))
    for slug in sorted(missing & built.keys()):
        pacer.add(slug, built[slug].limits)
        routes[slug] = replace(built[slug], is_shared=False)
        log.info("provider.added", provider=slug)
