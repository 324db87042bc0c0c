"""The audit log: who changed what, by filters in the URL."""

from typing import Annotated
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.accounts.response_schemas import AuditEntry, AuditPage
from api.dashboard.core.api_client import ApiDep, ApiRefusalError
from api.dashboard.core.formats import read_moment
from api.dashboard.core.lists import PAGE_SIZE
from api.dashboard.core.pages import PageRoute, render
from api.dashboard.core.visitors import VisitorDep
from broker.values import immutable

router = APIRouter(route_class=PageRoute, prefix="/w/{workspace}/audit")
FILTERS = ("action", "actor", "object_id", "since", "until", "reach")
"""Filters of the list. `reach` is `all` for those of all workspaces and of the installation."""


@immutable
class ShownEntry:
    """An entry with its changed fields."""

    entry: AuditEntry
    changes: list[tuple[str, str, str]]  # a field, its value before, and after


@router.get("")
async def list_entries(
    request: Request,
    visitor: VisitorDep,
    api: ApiDep,
    after: Annotated[str | None, Query()] = None,
) -> Response:
    """Show administrative changes, newest first."""
    chosen = {name: request.query_params.get(name, "") for name in FILTERS}
    given = {name: value for name, value in chosen.items() if value}
    is_everywhere = visitor.is_operator and chosen["reach"] == "all"
    query = {
        "action": chosen["action"],
        "actor": chosen["actor"],
        "object_id": chosen["object_id"],
        "since": _read_date(chosen["since"], "since"),
        "until": _read_date(chosen["until"], "until"),
        "workspace_id": None if is_everywhere else visitor.place.id,
        "after": after,
        "limit": PAGE_SIZE,
    }
    page = await api.get("/audit", AuditPage, query)
    values = {
        "entries": [ShownEntry(each, _list_changes(each)) for each in page.data],
        "chosen": chosen,
        "is_filtered": bool(given),
        "next_path": "?" + urlencode({**given, "after": page.last_id or ""})
        if page.has_more
        else "",
        "first_path": f"?{urlencode(given)}" if after else "",
    }
    return await render(request, visitor, "audit.html", values)


def _read_date(text: str, name: str) -> float | None:
    """Return a date as Unix seconds (UTC). Raises ApiRefusalError for another text."""
    if not text:
        return None
    try:
        return read_moment(f"{text}T00:00:00+00:00").timestamp()
    except ValueError:
        raise ApiRefusalError(400, f"{name}: a date is needed, such as 2026-11-30.", name) from None


def _list_changes(entry: AuditEntry) -> list[tuple[str, str, str]]:
    """Return the fields of an entry with their values before and after, as texts."""
    before, after = entry.before or {}, entry.after or {}
    names = dict.fromkeys([*before, *after])
    return [(name, _write(before.get(name)), _write(after.get(name))) for name in names]


def _write(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
