"""`waybill credits`: what workspaces have paid in, spent and left, directly in the database."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from broker import accounts, settings
from broker.accounts.audit import CLI
from broker.administration import billing
from broker.billing import ledger, payments
from broker.billing.payments import Payment
from broker.clock import now_ms
from broker.errors import WaybillError
from broker.money import NANOS_PER_USD, nanos_from_usd, usd
from cli.database import NAMED, local_database, workspace_id
from cli.messages import complain
from cli.output import Table, print_table

MOST_WORKSPACES = 10_000

credits_ = typer.Typer(
    help="Book and show prepaid credit. Works on the database; no server is needed.",
    no_args_is_help=True,
)
Workspace = Annotated[str, typer.Argument(help=NAMED)]


def _dollars(amount: str) -> Decimal:
    """Read how much money moved: which way, the command says."""
    try:
        nanos = nanos_from_usd(amount)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from None
    if nanos == 0 and Decimal(amount) > 0:
        raise typer.BadParameter(f"{amount} is less than a nano-dollar, the smallest amount.")
    if nanos > payments.MOST_USD * NANOS_PER_USD:
        raise typer.BadParameter(f"{amount} is more than {payments.MOST_USD:,} US dollars.")
    if nanos <= 0:
        raise typer.BadParameter(
            f"{amount} is not more than 0: `credits add` books what came in, `credits withdraw` "
            "what went back to the payer."
        )
    return Decimal(amount)


Amount = Annotated[Decimal, typer.Argument(help="US dollars, more than 0.", parser=_dollars)]
SIGNED = {"ignore_unknown_options": True}
"""Has `-5` read as an amount, and refused as one, not as an option that there is not."""


@credits_.command(context_settings=SIGNED)
def add(
    workspace: Workspace,
    amount: Amount,
    reference: Annotated[
        str | None,
        typer.Option(help="The payment's id; a repeated id changes nothing."),
    ] = None,
) -> None:
    """Book a payment; the configured fee is taken from it."""
    with _books(workspace) as (connection, id_):
        nanos = nanos_from_usd(amount)
        fee = payments.fee_of(nanos, settings.load())
        name = reference or f"cli-{uuid.uuid4().hex}"
        booked = billing.add_credit(connection, CLI, Payment(id_, nanos, name, now_ms(), fee))
    what = f"{usd(nanos):g} USD" + (f" less a fee of {usd(fee):g}" if fee else "")
    typer.echo(f"{what} booked for {id_}" if booked.is_new else f"{name} was booked before")
    typer.echo(_standing(booked.totals))


@credits_.command(context_settings=SIGNED)
def withdraw(
    workspace: Workspace,
    amount: Amount,
    reference: Annotated[str, typer.Option(help="The repayment's own id.")],
) -> None:
    """Book a repayment to the payer."""
    with _books(workspace) as (connection, id_):
        payment = Payment(id_, nanos_from_usd(amount), reference, now_ms())
        booked = billing.withdraw_credit(connection, CLI, payment)
    typer.echo(_standing(booked.totals))


@credits_.command()
def refund(job_id: Annotated[str, typer.Argument(help="Job id (job_…).")]) -> None:
    """Refund the cost of one job to its workspace, once."""
    with local_database() as database, _refusals(), database.transaction() as connection:
        nanos = billing.refund_job(connection, CLI, job_id, now_ms())
    typer.echo(f"{usd(nanos):.9f} USD given back" if nanos else "there was nothing to give back")


@credits_.command()
def show(
    workspace: Annotated[str | None, typer.Argument(help=f"Only this one. {NAMED}")] = None,
) -> None:
    """Show payments, costs, holds and balance of each workspace."""
    with local_database() as database:
        chosen = None if workspace is None else database.read_now(workspace_id, workspace)
        known, _ = database.read_now(_workspaces)
        totals = database.read_now(ledger.totals, [row.id for row in known])
    table = Table(*("id", "name", "credited", "spent", "held", "left"), box=None, pad_edge=False)
    for row in known:
        if chosen in (None, row.id):
            has = totals[row.id]
            left = "unlimited" if row.unlimited else f"{usd(has.available):.6f}"
            figures = [f"{usd(each):.6f}" for each in (has.credited, has.spent, has.held)]
            table.add_row(row.id, row.name, *figures, left)
    print_table(table)


def _workspaces(connection: Connection) -> tuple[Sequence[Any], int]:
    return accounts.list_workspaces(connection, None, limit=MOST_WORKSPACES)


@contextmanager
def _books(workspace: str) -> Iterator[tuple[Connection, str]]:
    """Open a transaction for the workspace that is meant."""
    with local_database() as database, _refusals(), database.transaction() as connection:
        yield connection, workspace_id(connection, workspace)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except WaybillError as error:
        complain(error.message)
        raise typer.Exit(1) from None


def _standing(totals: ledger.LedgerTotals) -> str:
    return (
        f"credited {usd(totals.credited):.6f}, spent {usd(totals.spent):.6f}, held "
        f"{usd(totals.held):.6f}, left {usd(totals.available):.6f}"
    )
