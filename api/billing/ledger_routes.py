"""GET /credits/ledger: the bookings of a workspace."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.billing.response_schemas import LedgerPage
from api.core.bodies import Route
from api.core.dependencies import AdminViewer, ServicesDep
from api.core.errors import json_response
from api.core.request import LedgerCursor
from api.core.scope import find_workspace_id
from broker.billing import ledger
from broker.clock import moment
from broker.completion import Json
from broker.money import usd

router = APIRouter(route_class=Route, prefix="/credits/ledger", tags=["credits"])


@router.get("", response_model=LedgerPage)
async def list_ledger_entries(
    services: ServicesDep,
    principal: AdminViewer,
    limit: Annotated[int, Query(ge=1, le=1000, description="The most entries.")] = 100,
    after: Annotated[
        LedgerCursor | None,
        Query(description="The last id of the page before; without it the first page."),
    ] = None,
    workspace_id: Annotated[
        str | None,
        Query(description="The id or the slug of a workspace; by default the caller's own."),
    ] = None,
) -> Response:
    """List payments, holds and charges of a workspace, newest first.

    This needs a management key, or a signed-in person of the workspace.
    """
    owner = await find_workspace_id(services, principal, workspace_id)
    rows = await services.database.read(
        lambda connection: ledger.list_entries(connection, owner, limit=limit + 1, after=after)
    )
    page = rows[:limit]
    return json_response(
        {
            "object": "list",
            "data": [_render(row) for row in page],
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
            "has_more": len(rows) > limit,
        }
    )


def _render(row: ledger.EntryRow) -> Json:
    return {
        "id": row.id,
        "object": "ledger_entry",
        "created_at": moment(row.created_at),
        "kind": row.kind.value,
        "amount": usd(row.amount_nanos),
        "held": usd(row.held_nanos),
        "job_id": row.job_id,
        "api_key_id": row.api_key_id,
        "reference": row.reference,
        "sequence": row.sequence,
        "hash": row.hash,
    }
