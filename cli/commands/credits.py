"""`waybill credits`: credits, costs and balances of workspaces, directly in the database."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Annotated

import typer
from sqlalchemy import Connection

from broker import accounts, settings
from broker.accounts import WorkspaceRow
from broker.accounts.audit import CLI
from broker.administration import billing
from broker.billing import ledger, payments
from broker.billing.payments import Payment
from broker.clock import now_ms
from broker.errors import WaybillError
from broker.money import NANOS_PER_USD, nanos_from_usd, usd
from cli.database import WORKSPACE_HELP, find_workspace_id, local_database
from cli.messages import print_error
from cli.output import Table, print_table

MAX_WORKSPACES = 10_000

credits_ = typer.Typer(
    help="Book and show prepaid credit. Works on the database; no server is needed.",
    no_args_is_help=True,
)
Workspace = Annotated[str, typer.Argument(help=WORKSPACE_HELP)]


def _read_dollars(amount: str) -> Decimal:
    """Return an amount of US dollars, more than 0. Raises BadParameter."""
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
            f"{amount} is not more than 0: `credits add` books a payment, `credits withdraw` "
            "a repayment."
        )
    return Decimal(amount)


Amount = Annotated[
    Decimal, typer.Argument(metavar="USD", help="US dollars, more than 0.", parser=_read_dollars)
]
SIGNED = {"ignore_unknown_options": True}
"""Has `-5` read as an amount, and refused as such, instead of as an unknown option."""


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
    with _open_workspace(workspace) as (connection, id_):
        nanos = nanos_from_usd(amount)
        fee = payments.fee_of(nanos, settings.load())
        name = reference or f"cli-{uuid.uuid4().hex}"
        booked = billing.add_credit(connection, CLI, Payment(id_, nanos, name, now_ms(), fee))
    booking = f"{usd(nanos):g} USD" + (f" less a fee of {usd(fee):g}" if fee else "")
    typer.echo(f"{booking} booked for {id_}" if booked.is_new else f"{name} was booked before")
    typer.echo(_describe_totals(booked.totals))


@credits_.command(context_settings=SIGNED)
def withdraw(
    workspace: Workspace,
    amount: Amount,
    reference: Annotated[str, typer.Option(help="The repayment's own id.")],
) -> None:
    """Book a repayment to the payer."""
    with _open_workspace(workspace) as (connection, id_):
        payment = Payment(id_, nanos_from_usd(amount), reference, now_ms())
        booked = billing.withdraw_credit(connection, CLI, payment)
    typer.echo(_describe_totals(booked.totals))


@credits_.command()
def refund(job_id: Annotated[str, typer.Argument(help="Job id (job_…).")]) -> None:
    """Refund the cost of one job to its workspace, once."""
    with local_database() as database, _exit_on_refusal(), database.transaction() as connection:
        nanos = billing.refund_job(connection, CLI, job_id, now_ms())
    typer.echo(f"{usd(nanos):.9f} USD refunded" if nanos else "there was nothing to refund")


@credits_.command()
def show(
    workspace: Annotated[
        str | None, typer.Argument(help=f"Only this one. {WORKSPACE_HELP}")
    ] = None,
) -> None:
    """Show payments, costs, holds and balance of each workspace."""
    with local_database() as database:
        chosen = None if workspace is None else database.read_now(find_workspace_id, workspace)
        known, _ = database.read_now(_workspaces)
        totals = database.read_now(ledger.totals, [row.id for row in known])
    table = Table(*("id", "name", "credited", "spent", "held", "left"), box=None, pad_edge=False)
    for row in known:
        if chosen in (None, row.id):
            sums = totals[row.id]
            left = "unlimited" if row.unlimited else f"{usd(sums.available):.6f}"
            figures = [f"{usd(each):.6f}" for each in (sums.credited, sums.spent, sums.held)]
            table.add_row(row.id, row.name, *figures, left)
    print_table(table)


def _workspaces(connection: Connection) -> tuple[Sequence[WorkspaceRow], int]:
    return accounts.list_workspaces(connection, None, limit=MAX_WORKSPACES)


@contextmanager
def _open_workspace(workspace: str) -> Iterator[tuple[Connection, str]]:
    """Open a transaction for a workspace."""
    with local_database() as database, _exit_on_refusal(), database.transaction() as connection:
        yield connection, find_workspace_id(connection, workspace)


@contextmanager
def _exit_on_refusal() -> Iterator[None]:
    try:
        yield
    except WaybillError as error:
        print_error(error.message)
        raise typer.Exit(1) from None


def _describe_totals(totals: ledger.LedgerTotals) -> str:
    return (
        f"credited {usd(totals.credited):.6f}, spent {usd(totals.spent):.6f}, held "
        f"{usd(totals.held):.6f}, left {usd(totals.available):.6f}"
    )
