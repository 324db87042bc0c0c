"""Keys, workspaces, members, users and audit entries in the shapes of the API (OpenRouter's)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from broker.accounts import CallerKind, KeyRow, Scope, WorkspaceRow
from broker.accounts.audit import AuditRow
from broker.accounts.users import MemberRow, UserRow
from broker.billing.budgets import BudgetLimit
from broker.clock import moment
from broker.completion import Json
from broker.money import usd
from broker.usage import KeyUsage, Reset, ends_at


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """The spending of a key, and the budgets that apply to it, at one time."""

    usage: KeyUsage
    budgets: Sequence[BudgetLimit]
    now: int


def render_key(row: KeyRow, status: KeyStatus) -> Json:
    """Render a key's record without the key itself."""
    return {
        "hash": row.hash,
        "id": row.id,
        "name": row.name,
        "label": row.label,
        "kind": row.kind,
        "everywhere": row.everywhere,
        "disabled": row.disabled,
        **_limit(row, status.usage),
        **_budgets(status),
        "requests_per_minute": row.requests_per_minute,
        "max_concurrent_jobs": row.max_concurrent_jobs,
        "allowed_models": _json(row.allowed_models),
        "allowed_providers": _json(row.allowed_providers),
        "scopes": _scopes(row),
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
        "last_used_at": iso(row.last_used_at),
        "workspace_id": row.workspace_id,
        "external_user": None,
    }


def render_current_key(row: KeyRow, status: KeyStatus, free: Json) -> Json:
    """Render a key for its own owner (`GET /key`)."""
    is_management = row.kind == CallerKind.MANAGEMENT.value
    return {
        "label": row.label,
        "name": row.name,
        "hash": row.hash,
        **_limit(row, status.usage),
        **_budgets(status),
        "is_free_tier": False,
        "is_management_key": is_management,
        "is_provisioning_key": is_management,
        "workspace_id": row.workspace_id,
        "organization_id": None,
        "allowed_data_regions": ["global"],
        "free_model_daily_requests": free,
        "requests_per_minute": row.requests_per_minute,
        "max_concurrent_jobs": row.max_concurrent_jobs,
        "allowed_models": _json(row.allowed_models),
        "allowed_providers": _json(row.allowed_providers),
        "scopes": _scopes(row),
        "rate_limit": {
            "requests": row.requests_per_minute or -1,
            "interval": "60s",
            "note": "This field is deprecated and safe to ignore.",
        },
    }


def _scopes(row: KeyRow) -> list[str]:
    """Return a key's scopes; a management key has none, and a key from before scopes has all."""
    if row.kind == CallerKind.MANAGEMENT.value:
        return []
    return list(Scope) if row.scopes is None else list(orjson.loads(row.scopes))


def _limit(row: KeyRow, usage: KeyUsage) -> Json:
    left = None
    if row.limit_nanos is not None:
        window = row.limit_reset or "total"
        spent = getattr(usage, window)
        if row.include_byok_in_limit:
            spent += getattr(usage, f"byok_{window}")
        left = usd(max(0, row.limit_nanos - spent))
    return {
        "limit": None if row.limit_nanos is None else usd(row.limit_nanos),
        "limit_remaining": left,
        "limit_reset": row.limit_reset,
        "include_byok_in_limit": row.include_byok_in_limit,
        "usage": usd(usage.total),
        "usage_daily": usd(usage.daily),
        "usage_weekly": usd(usage.weekly),
        "usage_monthly": usd(usage.monthly),
        "byok_usage": usd(usage.byok_total),
        "byok_usage_daily": usd(usage.byok_daily),
        "byok_usage_weekly": usd(usage.byok_weekly),
        "byok_usage_monthly": usd(usage.byok_monthly),
        "expires_at": iso(row.expires_at),
        "creator_user_id": row.created_by,
    }


def _budgets(status: KeyStatus) -> Json:
    """Render the budgets of a key, and the hard one with the smallest rest."""
    hard = [limit for limit in status.budgets if not limit.soft]
    tightest = min(hard, key=lambda limit: limit.left, default=None)
    return {
        "budgets": [_budget(limit, status.now) for limit in status.budgets],
        "effective_budget": tightest and _budget(tightest, status.now),
    }


def _budget(limit: BudgetLimit, now: int) -> Json:
    until = ends_at(limit.reset, now)
    return {
        "budget_id": limit.id,
        "guardrail_id": None,
        "scope": limit.scope.value,
        "limit_usd": usd(limit.nanos),
        "spend_usd": usd(limit.spent),
        "remaining_usd": usd(max(limit.left, 0)),
        "reset_interval": None if limit.reset is Reset.LIFETIME else limit.reset.value,
        "resets_at": None if until is None else moment(until),
        "include_byok": limit.byok,
        "soft": limit.soft,
    }


def render_workspace(row: WorkspaceRow) -> Json:
    settings = _json(row.settings) or {}
    return {
        "id": row.id,
        "slug": row.slug,
        "name": row.name,
        "description": row.description,
        "default_text_model": settings.get("default_text_model"),
        "default_image_model": settings.get("default_image_model"),
        "default_provider_sort": settings.get("default_provider_sort"),
        "store": settings.get("store"),
        "retention_days": settings.get("retention_days"),
        "unlimited": row.unlimited,
        "weight": row.weight,
        "requests_per_minute": row.requests_per_minute,
        "max_concurrent_jobs": row.max_concurrent_jobs,
        "settings": settings,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
        "created_by": row.created_by,
        **CONSTANT_FIELDS,
    }


CONSTANT_FIELDS: Json = {
    "default_guardrail_id": "",
    "disabled_server_tools": None,
    "io_logging_api_key_ids": None,
    "io_logging_sampling_rate": 1,
    "is_data_discount_logging_enabled": False,
    "is_observability_broadcast_enabled": False,
    "is_observability_io_logging_enabled": False,
}
"""Fields of OpenRouter's workspace that its SDK requires."""


def render_member(row: MemberRow) -> Json:
    return {
        "id": f"{row.workspace_id}:{row.user_id}",
        "workspace_id": row.workspace_id,
        "user_id": row.user_id,
        "role": row.role,
        "email": row.email,
        "name": row.name,
        "created_at": iso(row.created_at),
    }


def render_organization_member(row: UserRow) -> Json:
    first, _, last = row.name.partition(" ")
    return {
        "id": row.id,
        "email": row.email,
        "first_name": first or None,
        "last_name": last or None,
        "role": "org:admin" if row.is_operator else "org:member",
    }


def render_user(row: UserRow) -> Json:
    return {
        "id": row.id,
        "object": "user",
        "email": row.email,
        "name": row.name,
        "is_operator": row.is_operator,
        "disabled": row.disabled,
        "has_password": row.password_hash is not None,
        "oidc_issuer": row.oidc_issuer,
        "created_at": iso(row.created_at),
        "last_seen_at": iso(row.last_seen_at),
    }


def render_audit_entry(row: AuditRow) -> Json:
    return {
        "id": row.id,
        "object": "audit_entry",
        "created_at": iso(row.created_at),
        "workspace_id": row.workspace_id,
        "actor": row.actor,
        "actor_label": row.actor_label,
        "action": row.action,
        "object_id": row.object_id,
        "address": row.address,
        "before": _json(row.before),
        "after": _json(row.after),
    }


def iso(milliseconds: int | None) -> str | None:
    """Return a time in Unix milliseconds as ISO 8601 (UTC)."""
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def _json(text: str | None) -> Any:
    return None if text is None else orjson.loads(text)
