"""The page /dashboard (redirects) and the overview of a workspace."""

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.billing.response_schemas import BudgetList, CreditsAnswer
from api.dashboard.core.api_client import ApiClient, ApiDep
from api.dashboard.core.pages import PageRoute, Values, render_live
from api.dashboard.core.usage_charts import SPANS, load_usage
from api.dashboard.core.visitors import VisitorDep, find_places, require_user
from api.jobs.response_schemas import QueueList
from api.models.response_schemas import ProviderList
from api.monitoring.response_schemas import Health
from api.pages.page import redirect, render_page

router = APIRouter(route_class=PageRoute)

DIMENSIONS = {"model": "Model", "provider": "Provider", "api_key_id": "Key", "user": "End user"}


@router.get("/dashboard")
async def open_dashboard(request: Request) -> Response:
    """Redirect to the first workspace of the signed-in person."""
    user = await require_user(request)
    places = await find_places(request, user)
    if places:
        return redirect(f"/w/{places[0].slug}")
    text = "You are in no workspace yet: an administrator can add you."
    return render_page(request, "message.html", 403, title="No workspace", text=text)


@router.get("/w/{workspace}")
async def show_overview(
    request: Request, visitor: VisitorDep, api: ApiDep, span: str = "24h", by: str = "model"
) -> Response:
    """Show spending, requests and errors over time, the queues, and the state of providers."""
    span_name = span if span in SPANS else "24h"
    dimension = by if by in DIMENSIONS else "model"

    async def load() -> Values:
        place = visitor.place.id
        usage, state = await asyncio.gather(
            load_usage(api, place, SPANS[span_name], dimension), _load_state(api, place)
        )
        chosen = {"span": span_name, "by": dimension, "spans": SPANS, "dimensions": DIMENSIONS}
        return {**chosen, "totals": usage.totals, "charts": usage.charts, **state}

    return await render_live(request, visitor, "overview.html", load)


async def _load_state(api: ApiClient, workspace_id: str) -> Values:
    """Return what waits and runs now, the providers, the balance and the budgets."""
    queues, health, providers, credit, budgets = await asyncio.gather(
        api.get("/queues", QueueList),
        api.get_unprefixed("/health", Health),
        api.get("/providers", ProviderList),
        api.get("/credits", CreditsAnswer),
        api.find(f"/workspaces/{workspace_id}/budgets", BudgetList),
    )
    return {
        "queues": queues.data,
        "workers": queues.workers,
        "health": health,
        "providers": providers.data,
        "credit": credit.data,
        "budgets": budgets.data if budgets else [],
    }
