"""GET /audit: the audit log."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.accounts import views
from api.accounts.response_schemas import AuditPage
from api.accounts.schemas import AuditQuery
from api.core import request as reading
from api.core.bodies import Route
from api.core.dependencies import Admin, ServicesDep
from api.core.errors import json_response
from api.core.scope import find_workspace_ids
from broker.accounts import audit
from broker.accounts.audit import AuditFilter

router = APIRouter(route_class=Route, tags=["audit"])


@router.get("/audit", response_model=AuditPage)
async def list_audit_entries(
    services: ServicesDep, principal: Admin, query: Annotated[AuditQuery, Query()]
) -> Response:
    """List administrative actions, newest first.

    A key of the installation lists the actions of all workspaces and of the installation.
    """
    which = AuditFilter(
        await find_workspace_ids(services, principal, query.workspace_id),
        action=query.action,
        actor=query.actor,
        object_id=query.object_id,
        since=reading.to_milliseconds(query.since, "since"),
        until=reading.to_milliseconds(query.until, "until"),
    )
    rows = await services.database.read(
        lambda connection: audit.list_entries(
            connection, which, limit=query.limit + 1, after=query.after
        )
    )
    page = rows[: query.limit]
    return json_response(
        {
            "object": "list",
            "data": [views.render_audit_entry(row) for row in page],
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
            "has_more": len(rows) > query.limit,
        }
    )
