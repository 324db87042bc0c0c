"""Decide what is stored of a job's prompt and answer. Pure.

The strictest setting counts: that of the workspace (or the installation), that of the job, and
OpenAI's `store: false`, which means that the prompt is not stored.
"""

from collections.abc import Mapping
from typing import Any

from broker.completion import Json
from broker.enums import Store

DAY_MS = 86_400_000


_ORDER = list(Store)


def choose_store(
    body: Json, requested: str | None, workspace: Mapping[str, Any], default: str
) -> str | None:
    """Return the value of the column `store`: what to store of a job; None = everything."""
    settings = [workspace.get("store") or default, requested]
    if body.get("store") is False:
        settings.append(Store.RESULT_ONLY)
    known = [Store(each) for each in settings if each in set(Store)]
    strictest = max(known, key=_ORDER.index, default=Store.FULL)
    return None if strictest is Store.FULL else strictest.value


def find_deletion_time(workspace: Mapping[str, Any], default_days: int, now: int) -> int | None:
    """Return the time (Unix ms): jobs that ended earlier are deleted. None = none are."""
    days = workspace.get("retention_days")
    days = days if isinstance(days, int) and days > 0 else default_days
    times = [now - days * DAY_MS] if days else []
    if isinstance(before := workspace.get("forget_before"), int):
        times.append(before)
    return max(times, default=None)
