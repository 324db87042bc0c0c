"""Administer budgets and credit, each change with its audit entry."""

from sqlalchemy import Connection

from broker.accounts import audit
from broker.accounts.audit import Actor, AuditedChange
from broker.billing import budgets, payments
from broker.billing.budgets import BudgetLimit, BudgetName, BudgetRequest
from broker.billing.payments import BookedPayment, Payment
from broker.completion import Json
from broker.money import usd


def put_budget(connection: Connection, actor: Actor, request: BudgetRequest) -> BudgetLimit:
    """Create or change a budget; return it with its sums."""
    name = BudgetName(request.workspace_id, request.scope, request.subject_id, request.reset)
    before = budgets.find_budget(connection, name)
    limit = budgets.put_budget(connection, request)
    details = _audit_fields(name) | {"limit_usd": usd(request.nanos), "soft": request.soft}
    earlier = before and {"limit_usd": usd(before.limit_nanos), "soft": before.soft}
    change = AuditedChange("budgets.put", limit.id, request.workspace_id, earlier, details)
    audit.record(connection, actor, change)
    return limit


def remove_budget(connection: Connection, actor: Actor, name: BudgetName) -> bool:
    """Remove a budget; return whether there was one."""
    before = budgets.find_budget(connection, name)
    if before is None or not budgets.remove_budget(connection, name):
        return False
    details = _audit_fields(name) | {"limit_usd": usd(before.limit_nanos), "soft": before.soft}
    audit.record(
        connection, actor, AuditedChange("budgets.delete", before.id, name.workspace_id, details)
    )
    return True


def add_credit(connection: Connection, actor: Actor, payment: Payment) -> BookedPayment:
    """Book a payment; one that was booked before changes nothing."""
    booked = payments.add(connection, payment)
    _note_payment(connection, actor, "credits.add", payment, booked)
    return booked


def withdraw_credit(connection: Connection, actor: Actor, payment: Payment) -> BookedPayment:
    """Book money that was returned to the payer."""
    booked = payments.withdraw(connection, payment)
    _note_payment(connection, actor, "credits.withdraw", payment, booked)
    return booked


def refund_job(connection: Connection, actor: Actor, job_id: str, now: int) -> int:
    """Refund the cost of a job; return the nano-dollars, 0 if it was refunded before."""
    refund = payments.refund(connection, job_id, now)
    if refund.nanos:
        details = {"amount_usd": usd(refund.nanos)}
        change = AuditedChange("credits.refund", job_id, refund.workspace_id, after=details)
        audit.record(connection, actor, change)
    return refund.nanos


def _note_payment(
    connection: Connection, actor: Actor, action: str, payment: Payment, booked: BookedPayment
) -> None:
    if booked.is_new:
        details = {"amount_usd": usd(payment.nanos), "fee_usd": usd(payment.fee_nanos)}
        change = AuditedChange(action, payment.reference, payment.workspace_id, after=details)
        audit.record(connection, actor, change)


def _audit_fields(name: BudgetName) -> Json:
    return {
        "scope": name.scope.value,
        "subject_id": name.subject_id,
        "reset_interval": name.reset.value,
    }
