"""Decide what is stored of a job's prompt and answer. Pure.

The strictest wish counts: the workspace's setting (or the installation's), the job's own, and
OpenAI's `store: false`, which means that the prompt is not to be kept.
"""

from collections.abc import Mapping
from typing import Any

from broker.completion import Json
from broker.enums import Store

DAY_MS = 86_400_000


_ORDER = list(Store)


def store_of(
    body: Json, wish: str | None, workspace: Mapping[str, Any], default: str
) -> str | None:
    """Return what to keep of a job, as its row says it: None = everything."""
    asked = [workspace.get("store") or default, wish]
    if body.get("store") is False:
        asked.append(Store.RESULT_ONLY)
    known = [Store(each) for each in asked if each in set(Store)]
    strictest = max(known, key=_ORDER.index, default=Store.FULL)
    return None if strictest is Store.FULL else strictest.value


def deleted_before(workspace: Mapping[str, Any], default_days: int, now: int) -> int | None:
    """Return until when jobs must have ended to be forgotten (Unix ms); None = no job is."""
    days = workspace.get("retention_days")
    days = days if isinstance(days, int) and days > 0 else default_days
    moments = [now - days * DAY_MS] if days else []
    if isinstance(asked := workspace.get("forget_before"), int):
        moments.append(asked)
    return max(moments, default=None)
