"""Calls with workspace credentials: choose the key, and handle its refusal."""

from dataclasses import replace

import structlog
from sqlalchemy import Connection

from broker import credentials, webhooks
from broker.clock import now_ms
from broker.completion import AttemptAnswer, AttemptOutcome, ErrorType, Failure
from broker.credentials import CredentialRefusal
from broker.errors import UnavailableError
from broker.lifecycle import ClaimedJob
from broker.providers import configuration
from broker.providers.health import refuses_credential
from broker.webhooks import WebhookEvent
from workers.adapters.base import Upstream
from workers.context import WorkerContext
from workers.provider_routes import ProviderRoute, build_routes

RECORD_AGAIN_MS = 10_000  # how often the same key's refusals are written down

_ABOUT_THE_ACCOUNT = frozenset({ErrorType.RATE_LIMIT_EXCEEDED, ErrorType.PERMISSION_DENIED})

log = structlog.get_logger()


def upstream_of(
    context: WorkerContext, job: ClaimedJob, route: ProviderRoute
) -> Upstream | Failure:
    """Return the provider as this job is to call it, or why it may not.

    The headers that waybill.toml adds belong to the installation's account, and stay behind.
    """
    endpoint, known = job.endpoint, context.credentials
    if endpoint.credential is None:
        if known.rules_out_shared(job.workspace_id, *endpoint.key):
            return _skip_failure(f"Only the workspace's own keys may call {endpoint.provider}.")
        if not route.is_shared:
            return _skip_failure(
                f"Provider {endpoint.provider!r} is not configured at this worker."
            )
        return route.upstream
    try:
        secret = known.secret(endpoint.credential)
    except UnavailableError as error:
        log.warning("credential.sealed", credential=endpoint.credential, error=str(error))
        return _skip_failure(str(error))
    if secret is None:
        return _skip_failure(f"The key {endpoint.credential} is disabled or deleted.")
    return replace(route.upstream, api_key=secret, headers={})


def _skip_failure(why: str) -> Failure:
    return Failure(AttemptOutcome.SKIPPED, ErrorType.AUTHENTICATION, why)


def is_about_the_account(answer: AttemptAnswer) -> bool:
    """Return whether an answer is about the key's account (401, 402, 403, 429)."""
    return isinstance(answer, Failure) and (
        refuses_credential(answer) or answer.error_type in _ABOUT_THE_ACCOUNT
    )


async def record_refusal(context: WorkerContext, job: ClaimedJob, failure: Failure) -> None:
    """Record that a provider refused a workspace's credential; a 401 disables it."""
    credential = job.endpoint.credential
    assert credential is not None
    is_permanent = failure.error_type is ErrorType.AUTHENTICATION
    now = now_ms()
    if now - context.refused_at.get(credential, 0) < RECORD_AGAIN_MS and not is_permanent:
        return
    context.refused_at[credential] = now
    reason = f"{failure.http_status} {failure.error_type.value}: {failure.message[:300]}"
    log.warning("credential.refused", credential=credential, provider=job.endpoint.provider)
    await context.database.write(
        _record_refusal, CredentialRefusal(credential, reason, is_permanent, now)
    )
    await context.credentials.refresh()


def _record_refusal(connection: Connection, refusal: CredentialRefusal) -> None:
    """Record a refusal, and send an event if it disabled the credential."""
    row = credentials.record_refusal(connection, refusal)
    if row is None:
        return
    data = {
        "id": row.id,
        "object": "credential",
        "provider": row.provider,
        "name": row.name,
        "label": row.label,
        "reason": row.disabled_reason,
    }
    event = WebhookEvent(row.workspace_id, "credential.disabled", row.id, row.updated_at, data)
    webhooks.fan_out(connection, [event])


def add_credential_providers(context: WorkerContext) -> None:
    """Make providers known here that only workspaces have keys of: their queues follow."""
    wanted = context.credentials.providers() - context.routes.keys()
    if not wanted:
        return
    known = build_routes(configuration.load_byok_providers(context.settings))
    for slug in sorted(wanted & known.keys()):
        context.pacer.add(slug, known[slug].limits)
        context.routes[slug] = replace(known[slug], is_shared=False)
        log.info("provider.lit", provider=slug)
