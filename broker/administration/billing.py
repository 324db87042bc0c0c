"""Budgets and credit administered, each act with its entry in the audit log."""

from sqlalchemy import Connection

from broker.accounts import audit
from broker.accounts.audit import Act, Actor
from broker.billing import budgets, payments
from broker.billing.budgets import BudgetLimit, BudgetName, BudgetRequest
from broker.billing.payments import BookedPayment, Payment
from broker.completion import Json
from broker.money import usd


def put_budget(connection: Connection, actor: Actor, wish: BudgetRequest) -> BudgetLimit:
    """Make or change a budget, and return where it stands."""
    name = BudgetName(wish.workspace_id, wish.scope, wish.subject_id, wish.reset)
    before = budgets.find_budget(connection, name)
    limit = budgets.put_budget(connection, wish)
    told = _audit_fields(name) | {"limit_usd": usd(wish.nanos), "soft": wish.soft}
    earlier = before and {"limit_usd": usd(before.limit_nanos), "soft": before.soft}
    act = Act("budgets.put", limit.id, wish.workspace_id, earlier, told)
    audit.note(connection, actor, act)
    return limit


def remove_budget(connection: Connection, actor: Actor, name: BudgetName) -> bool:
    """Remove a budget; tell whether there was one."""
    before = budgets.find_budget(connection, name)
    if before is None or not budgets.remove_budget(connection, name):
        return False
    told = _audit_fields(name) | {"limit_usd": usd(before.limit_nanos), "soft": before.soft}
    audit.note(connection, actor, Act("budgets.delete", before.id, name.workspace_id, told))
    return True


def add_credit(connection: Connection, actor: Actor, payment: Payment) -> BookedPayment:
    """Book a payment; one that was booked before changes nothing, and is not noted again."""
    booked = payments.add(connection, payment)
    _note_payment(connection, actor, "credits.add", payment, booked)
    return booked


def withdraw_credit(connection: Connection, actor: Actor, payment: Payment) -> BookedPayment:
    """Book money that went back to the payer."""
    booked = payments.withdraw(connection, payment)
    _note_payment(connection, actor, "credits.withdraw", payment, booked)
    return booked


def refund_job(connection: Connection, actor: Actor, job_id: str, now: int) -> int:
    """Give a workspace back what a job cost it; return the nano-dollars, 0 if it had them back."""
    refund = payments.refund(connection, job_id, now)
    if refund.nanos:
        told = {"amount_usd": usd(refund.nanos)}
        act = Act("credits.refund", job_id, refund.workspace_id, after=told)
        audit.note(connection, actor, act)
    return refund.nanos


def _note_payment(
    connection: Connection, actor: Actor, action: str, payment: Payment, booked: BookedPayment
) -> None:
    if booked.is_new:
        told = {"amount_usd": usd(payment.nanos), "fee_usd": usd(payment.fee_nanos)}
        act = Act(action, payment.reference, payment.workspace_id, after=told)
        audit.note(connection, actor, act)


def _audit_fields(name: BudgetName) -> Json:
    return {
        "scope": name.scope.value,
        "subject_id": name.subject_id,
        "reset_interval": name.reset.value,
    }
