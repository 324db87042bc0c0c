"""Which limits a job is counted against. None at all for most: then nobody is asked."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from broker.accounts import Principal, RequestLimits
from broker.jobs.states import JobState
from broker.queues import NATIVE_LANE
from broker.rate_limits.rules import Limit, LimitKind
from broker.settings import Settings


def limits_of(
    principal: Principal, row: Mapping[str, Any], settings: Settings, *, is_free: bool = False
) -> Sequence[Limit]:
    """Return the limits of a new job (its row is given): its key's, its workspace's, free models'.

    `is_free`: a free model was asked for, under whatever name, see `routing.names_free_model`.

    A job for later counts as a request, and as open once its time has come (`coming`).
    Nor is one open that goes into a provider's batch, where it waits for hours.
    """
    is_open = row["state"] != JobState.SCHEDULED.value and row["lane"] != NATIVE_LANE
    limits = [
        *_own("key", principal.api_key_id, principal.limits, is_open=is_open),
        *_own("workspace", principal.workspace_id, principal.workspace_limits, is_open=is_open),
    ]
    if is_free:
        limits += free_limits(principal, settings)
    return limits


def free_limits(principal: Principal, settings: Settings) -> list[Limit]:
    """Return the limits of `:free` models: a workspace's, so that more keys raise nothing."""
    name, told = f"free:{principal.workspace_id}", "the workspace's limit of free models"
    minute, day = settings.free_requests_per_minute, free_per_day(principal, settings)
    limits = [Limit(LimitKind.RATE, name, minute, told)] if minute else []
    return [*limits, Limit(LimitKind.DAY, name, day, told)] if day else limits


def free_per_day(principal: Principal, settings: Settings) -> int:
    """Return the day's limit of `:free` models (0 = none); a workspace may have its own."""
    own = principal.settings.get("free_requests_per_day")
    return own if isinstance(own, int) and own >= 0 else settings.free_requests_per_day


def open_limits(
    api_key_id: str, of_key: RequestLimits, workspace_id: str, of_workspace: RequestLimits
) -> list[Limit]:
    """Return what a job for later is counted against as its time comes."""
    limits = [
        *_own("key", api_key_id, of_key, is_open=True),
        *_own("workspace", workspace_id, of_workspace, is_open=True),
    ]
    return [limit for limit in limits if limit.kind is LimitKind.OPEN]


def _own(whose: str, name: str, limits: RequestLimits, *, is_open: bool) -> Iterator[Limit]:
    told = f"the {whose}'s limit"
    if limits.requests_per_minute is not None:
        yield Limit(LimitKind.RATE, name, limits.requests_per_minute, told)
    if limits.max_concurrent_jobs is not None and is_open:
        yield Limit(LimitKind.OPEN, name, limits.max_concurrent_jobs, told)
