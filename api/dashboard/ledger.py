"""Credit: the balance of the workspace, a page to pay on, and the bookings."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.billing.response_schemas import CheckoutAnswer, CreditsAnswer, LedgerPage
from api.core.services import get_services
from api.dashboard.core.api_client import ApiDep, ApiRefusalError
from api.dashboard.core.forms import keep_entered, read_number, status_of
from api.dashboard.core.lists import PAGE_SIZE
from api.dashboard.core.pages import PageRoute, render
from api.dashboard.core.visitors import VisitorDep
from api.pages.page import read_form
from broker.completion import Json

router = APIRouter(route_class=PageRoute, prefix="/w/{workspace}/credits")
KINDS = {
    "hold": "hold",
    "extend": "further hold",
    "settle": "cost",
    "release": "hold returned",
    "refund": "refund",
    "topup": "payment",
    "fee": "fee",
    "grant": "grant",
    "withdrawal": "withdrawal",
}


@router.get("")
async def show_credits(
    request: Request,
    visitor: VisitorDep,
    api: ApiDep,
    after: Annotated[str | None, Query()] = None,
) -> Response:
    """Show balance and holds, and the ledger, newest first."""
    return await _render_credits(request, visitor, api, after)


@router.post("/checkout")
async def create_checkout(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Show the link to the page of the payment provider where an amount can be paid."""
    form = await read_form(request)
    base = get_services(request).settings.public_url or str(request.base_url)
    back = f"{base.rstrip('/')}{visitor.root}/credits"
    try:
        amount = read_number(form, "amount")
        body: Json = {"amount": amount, "return_url": back}
        page = await api.send("POST", "/credits/checkout", CheckoutAnswer, body)
    except ApiRefusalError as refusal:
        return await _render_credits(request, visitor, api, refusal=refusal, entered=form)
    return await _render_credits(request, visitor, api, payment_page=page.data.url, entered=form)


async def _render_credits(
    request: Request,
    visitor: VisitorDep,
    api: ApiDep,
    after: str | None = None,
    *,
    payment_page: str = "",
    refusal: ApiRefusalError | None = None,
    entered: Mapping[str, str] | None = None,
) -> Response:
    credit = await api.get("/credits", CreditsAnswer)
    query = {"workspace_id": visitor.place.id, "after": after, "limit": PAGE_SIZE}
    ledger = await api.get("/credits/ledger", LedgerPage, query)
    settings = get_services(request).settings
    values = {
        "credit": credit.data,
        "entries": ledger.data,
        "kinds": KINDS,
        "is_payable": bool(settings.stripe_api_key and settings.stripe_webhook_secret),
        "payment_page": payment_page,
        "refusal": refusal,
        "entered": keep_entered(entered),
        "next_path": "?" + urlencode({"after": ledger.last_id or ""}) if ledger.has_more else "",
        "first_path": "?" if after else "",
    }
    return await render(request, visitor, "credits.html", values, status=status_of(refusal))
