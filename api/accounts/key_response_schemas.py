"""Answers of the routes of keys, apps and provider keys, for the OpenAPI document.

Names are OpenRouter's. Amounts are US dollars, times ISO 8601.
"""

from typing import Literal

from pydantic import BaseModel, Field

from broker.accounts import LimitReset, Scope
from broker.enums import BudgetScope
from broker.usage import Reset


class KeyBudget(BaseModel):
    """A budget that applies to a key."""

    budget_id: str = Field(description="The id of the budget (`bud_…`).")
    guardrail_id: str | None = Field(description="Always null.")
    scope: BudgetScope = Field(description="The subject of the budget.")
    limit_usd: float = Field(description="The limit for one period.")
    spend_usd: float = Field(description="The costs of the current period.")
    remaining_usd: float = Field(description="The rest of the limit, at least 0.")
    reset_interval: Reset | None = Field(description="The period; null without end.")
    resets_at: str | None = Field(description="The end of the period; null without end.")
    include_byok: bool = Field(
        description="Whether charges of providers to the workspace's own accounts count."
    )
    soft: bool = Field(description="Whether the budget sends events but refuses nothing.")


class KeyLimits(BaseModel):
    """The limits of a key, and its spending. Days, weeks and months are those of UTC."""

    limit: float | None = Field(description="The spending limit; null for none.")
    limit_remaining: float | None = Field(description="The rest of the limit, at least 0.")
    limit_reset: LimitReset | None = Field(
        description="The period of the limit; null for a limit without end."
    )
    include_byok_in_limit: bool = Field(
        description="Whether charges of providers to the workspace's own accounts count."
    )
    usage: float = Field(description="The costs of the key.")
    usage_daily: float = Field(description="The costs of today.")
    usage_weekly: float = Field(description="The costs of this week, from Monday.")
    usage_monthly: float = Field(description="The costs of this month.")
    byok_usage: float = Field(
        description="The charges of providers to the workspace's own accounts."
    )
    byok_usage_daily: float = Field(description="The same, of today.")
    byok_usage_weekly: float = Field(description="The same, of this week.")
    byok_usage_monthly: float = Field(description="The same, of this month.")
    expires_at: str | None = Field(description="The time from which the key is refused.")
    creator_user_id: str | None = Field(
        description="The id of the user that the key stands for; null for the installation."
    )
    budgets: list[KeyBudget] = Field(description="The budgets that apply to the key.")
    effective_budget: KeyBudget | None = Field(
        description="The budget with the smallest rest, soft ones left out."
    )
    requests_per_minute: int | None = Field(
        description="The most requests in a minute; null for no limit."
    )
    max_concurrent_jobs: int | None = Field(
        description="The most jobs at the same time; null for no limit."
    )
    allowed_models: list[str] | None = Field(
        description="Slugs or patterns of the models that the key may use; null for all."
    )
    allowed_providers: list[str] | None = Field(
        description="Slugs or patterns of the providers that the key may use; null for all."
    )
    scopes: list[Scope] = Field(description="The additional permissions of an inference key.")


class Key(KeyLimits):
    """An API key, without the key itself."""

    hash: str = Field(description="The hash of the key, which identifies it in paths.")
    id: str = Field(description="The id of the key (`key_…`).")
    name: str = Field(description="The name.")
    label: str = Field(description="The first and last characters of the key.")
    kind: Literal["inference", "management", "session"] = Field(
        description="Whether the key runs completions or administers. A `session` key counts what "
        "a person runs at the dashboard; nobody knows its text."
    )
    everywhere: bool = Field(description="Whether it administers the whole installation.")
    disabled: bool = Field(description="Whether the key is refused.")
    created_at: str = Field(description="The time of creation.")
    updated_at: str | None = Field(description="The time of the last change.")
    last_used_at: str | None = Field(description="The time of the last use, to the minute.")
    workspace_id: str = Field(description="The id of the workspace.")
    external_user: str | None = Field(description="Always null.")


class KeyAnswer(BaseModel):
    """One key."""

    data: Key = Field(description="The key, without the key itself.")


class CreatedKey(KeyAnswer):
    """A new key."""

    key: str = Field(description="The key itself (`sk-wb-v1-…`). It is shown only here.")


class KeyList(BaseModel):
    """A page of up to 100 keys, newest first."""

    data: list[Key] = Field(description="The keys.")


class LeftObjects(BaseModel):
    """The objects that a deleted key created and that still exist."""

    keys: list[str] = Field(description="The ids of keys.")
    webhook_endpoints: list[str] = Field(description="The ids of webhook endpoints.")
    presets: list[str] = Field(description="The slugs of presets.")
    batches: list[str] = Field(description="The ids of batches with lines that have not begun.")
    evaluations: list[str] = Field(
        description="The ids of evaluations with calls that have not begun."
    )
    waiting_jobs: int = Field(description="The number of jobs that have not begun.")


class CancelledObjects(BaseModel):
    """The numbers of cancelled objects."""

    jobs: int = Field(description="The number of jobs.")
    batches: int = Field(description="The number of batches.")
    evaluations: int = Field(description="The number of evaluations.")


class DeletedKey(BaseModel):
    """A confirmation, with the objects that the key created."""

    deleted: bool = Field(description="True.")
    left: LeftObjects = Field(description="The objects of the key that still exist.")
    cancelled: CancelledObjects | None = Field(
        None, description="The numbers of cancelled objects; only with `jobs=cancel`."
    )


class FreeModelRequests(BaseModel):
    """Requests to free models of the workspace, today (UTC)."""

    used: int = Field(description="The number of requests.")
    limit: int = Field(description="The most requests in a day.")
    remaining: int = Field(description="The rest of the limit, at least 0.")


class DeprecatedRateLimit(BaseModel):
    """A rate limit in OpenRouter's former shape."""

    requests: int = Field(description="The most requests in the interval; -1 for no limit.")
    interval: str = Field(description="The length of the interval.")
    note: str = Field(description="A remark.")


class CurrentKey(KeyLimits):
    """The key of the caller, as it sees itself."""

    label: str = Field(description="The first and last characters of the key.")
    name: str = Field(description="The name.")
    hash: str = Field(description="The hash of the key.")
    is_free_tier: bool = Field(description="False.")
    is_management_key: bool = Field(description="Whether the key administers.")
    is_provisioning_key: bool = Field(description="The same.")
    workspace_id: str = Field(description="The id of the workspace.")
    organization_id: str | None = Field(description="Always null.")
    allowed_data_regions: list[str] = Field(description="`global`.")
    free_model_daily_requests: FreeModelRequests = Field(
        description="Requests to free models, today (UTC)."
    )
    rate_limit: DeprecatedRateLimit = Field(
        description="Deprecated: see `requests_per_minute`.", deprecated=True
    )


class CurrentKeyAnswer(BaseModel):
    """The key of the caller."""

    data: CurrentKey = Field(description="The key, without the key itself.")


class AppCode(BaseModel):
    """A code that an app exchanges for a key."""

    id: str = Field(description="The code.")
    app_id: int = Field(description="0.")
    created_at: str = Field(description="The time of creation.")


class AppCodeAnswer(BaseModel):
    """A code that an app exchanges for a key."""

    data: AppCode = Field(description="The code.")


class ExchangedKey(BaseModel):
    """The key that an app received for its code."""

    key: str = Field(description="The key itself. It is shown only here.")
    user_id: str | None = Field(description="The id of the user who gave the code.")


class ProviderKey(BaseModel):
    """A provider key of a workspace, without the key itself."""

    id: str = Field(description="The id of the provider key (`byok_…`).")
    provider: str = Field(description="The slug of the provider.")
    name: str | None = Field(description="The name.")
    label: str = Field(description="The first and last characters of the key.")
    workspace_id: str = Field(description="The id of the workspace.")
    sort_order: int = Field(description="Keys with a lower number are tried first.")
    is_fallback: bool = Field(
        description="Whether the key is used only after the installation's key."
    )
    is_required: bool = Field(
        description="Whether the installation's key is never used for the models of this key."
    )
    is_byok_only: bool = Field(
        description="Whether the installation's key is never used for this provider."
    )
    disabled: bool = Field(description="Whether the key is not used.")
    disabled_reason: str | None = Field(description="The reason, if Waybill disabled the key.")
    last_error: str | None = Field(description="The last refusal by the provider.")
    last_error_at: str | None = Field(description="The time of the last refusal.")
    allowed_models: list[str] | None = Field(
        description="Slugs or patterns of the models that may use the key; null for all."
    )
    allowed_api_key_hashes: list[str] | None = Field(
        description="The hashes of the API keys that may use the key; null for all."
    )
    allowed_user_ids: list[str] | None = Field(
        description="The ids of the users whose keys may use the key; null for all."
    )
    declared_region: str | None = Field(description="Always null.")
    declared_zdr: bool | None = Field(description="Always null.")
    created_at: str = Field(description="The time of creation.")
    updated_at: str | None = Field(description="The time of the last change.")


class ProviderKeyAnswer(BaseModel):
    """One provider key."""

    data: ProviderKey = Field(description="The provider key, without the key itself.")


class ProviderKeyPage(BaseModel):
    """A page of provider keys, in the order in which they are tried."""

    data: list[ProviderKey] = Field(description="The provider keys.")
    total_count: int = Field(description="The number of all provider keys.")
