"""Budgets: limits on the spending of the workspace, of members and of keys."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.accounts.key_response_schemas import KeyList
from api.accounts.response_schemas import MemberPage
from api.billing.response_schemas import Budget, BudgetList
from api.dashboard.core.api_client import ApiClient, ApiDep, ApiRefusalError, Query
from api.dashboard.core.forms import keep_entered, read_number, status_of
from api.dashboard.core.pages import PageRoute, redirect_with_notice, render
from api.dashboard.core.visitors import VisitorDep
from api.pages.page import read_form
from broker.completion import Json
from broker.enums import BudgetScope, Reset
from broker.values import immutable

router = APIRouter(route_class=PageRoute, prefix="/w/{workspace}/budgets")
PERIODS = {
    Reset.DAILY: "a day",
    Reset.WEEKLY: "a week",
    Reset.MONTHLY: "a month",
    Reset.LIFETIME: "in total",
}


@immutable
class ShownBudget:
    """A budget with the name of its subject."""

    budget: Budget
    subject: str  # workspace, member:usr_… or key:key_…, as the form names it
    name: str
    period: Reset
    used: float  # US dollars that are spent or held


@router.get("")
async def list_budgets(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Show the budgets with their spending, and the form for another."""
    return await _render_list(request, visitor, api)


@router.post("")
async def put_budget(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Create a budget, or change the one of the same subject and period."""
    form = await read_form(request)
    try:
        body: Json = {"limit_usd": read_number(form, "limit_usd"), "soft": "soft" in form}
        path, query = _name_budget(visitor, form)
        await api.change("PUT", path, body, query)
    except ApiRefusalError as refusal:
        return await _render_list(request, visitor, api, refusal, form)
    return redirect_with_notice(request, f"{visitor.root}/budgets", "The budget is saved.")


@router.post("/delete")
async def delete_budget(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Delete a budget."""
    form = await read_form(request)
    path, query = _name_budget(visitor, form)
    await api.change("DELETE", path, query=query)
    return redirect_with_notice(request, f"{visitor.root}/budgets", "The budget is deleted.")


async def _render_list(
    request: Request,
    visitor: VisitorDep,
    api: ApiDep,
    refusal: ApiRefusalError | None = None,
    entered: Mapping[str, str] | None = None,
) -> Response:
    found = await api.get(f"/workspaces/{visitor.place.id}/budgets", BudgetList)
    subjects = await _find_subjects(api, visitor)
    budgets = [_show(each, subjects) for each in found.data]
    edited = request.query_params.get("edit", "")
    first = next((each for each in budgets if each.budget.id == edited), None)
    values = {
        "budgets": budgets,
        "subjects": subjects,
        "periods": PERIODS,
        "edited": first if refusal is None else None,
        "refusal": refusal,
        "entered": keep_entered(entered if first is None or entered else _fill(first)),
    }
    return await render(request, visitor, "budgets.html", values, status=status_of(refusal))


async def _find_subjects(api: ApiClient, visitor: VisitorDep) -> dict[str, str]:
    """Return the names of what a budget may limit, by the value of the form."""
    members = await api.get(f"/workspaces/{visitor.place.id}/members", MemberPage, {"limit": 100})
    query: Query = {"include_disabled": True, "workspace_id": visitor.place.id}
    keys = await api.find("/keys", KeyList, query)
    return {
        BudgetScope.WORKSPACE.value: "the whole workspace",
        **{f"{BudgetScope.MEMBER}:{each.user_id}": f"member {each.email}" for each in members.data},
        **{
            f"{BudgetScope.KEY}:{each.id}": f"key {each.name}"
            for each in (keys.data if keys else ())
        },
    }


def _show(budget: Budget, subjects: Mapping[str, str]) -> ShownBudget:
    subject = budget.scope.value
    if budget.scope is not BudgetScope.WORKSPACE:
        subject = f"{subject}:{budget.subject_id}"
    used = budget.spend_usd + budget.held_usd
    name = subjects.get(subject, f"{budget.scope.value} {budget.subject_id}")
    return ShownBudget(budget, subject, name, budget.reset_interval or Reset.LIFETIME, used)


def _fill(shown: ShownBudget) -> Mapping[str, str]:
    """Return the values of the form for a budget that is to be changed."""
    values = {
        "subject": shown.subject,
        "period": shown.period.value,
        "limit_usd": f"{shown.budget.limit_usd:g}",
    }
    return values | {"soft": "on"} if shown.budget.soft else values


def _name_budget(visitor: VisitorDep, form: Mapping[str, str]) -> tuple[str, Query]:
    """Return path and query of the budget that a form names. Raises ApiRefusalError."""
    scope, _, subject_id = form.get("subject", "").partition(":")
    period = form.get("period", "")
    if scope not in set(BudgetScope) or period not in set(Reset):
        raise ApiRefusalError(400, "subject, period: choose one of the list.", "subject")
    path = f"/workspaces/{visitor.place.id}/budgets/{period}"
    return path, {"scope": scope, "subject_id": subject_id}
