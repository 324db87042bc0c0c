"""`waybill keys`: create, list and disable API keys, directly in the database."""

from typing import Annotated

import orjson
import typer

from broker import accounts
from broker.accounts import CallerKind, LimitReset, ListedKey, Scope
from broker.accounts.audit import CLI
from broker.administration import keys as administration
from broker.administration.keys import KeyOptions
from broker.clock import now_ms
from broker.money import nanos_from_usd
from cli.database import WORKSPACE_HELP, find_workspace_id, local_database
from cli.messages import print_error
from cli.output import Table, day, print_table

DAY_MS = 86_400_000

keys = typer.Typer(
    help="Create, list and disable API keys. Works on the database; no server is needed.",
    no_args_is_help=True,
)


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the key.")],
    workspace: Annotated[str | None, typer.Option(help=WORKSPACE_HELP)] = None,
    management: Annotated[
        bool, typer.Option("--management", help="A management key: it cannot run inference.")
    ] = False,
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="A management key of the whole installation.")
    ] = False,
    limit: Annotated[
        float | None,
        typer.Option(metavar="USD", min=0, max=1e9, help="Spending limit in US dollars."),
    ] = None,
    reset: Annotated[
        LimitReset | None, typer.Option(help="Period after which the limit is reset (UTC).")
    ] = None,
    days: Annotated[
        float | None, typer.Option(metavar="DAYS", min=0, max=36_500, help="Days until it expires.")
    ] = None,
    per_minute: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=1_000_000, help="Requests per minute.")
    ] = None,
) -> None:
    """Create a key and print it; it is shown only this once."""
    if everywhere and workspace is not None:
        raise typer.BadParameter("a key of the whole installation is of no --workspace")
    columns = {
        "everywhere": everywhere,
        "limit_nanos": None if limit is None else nanos_from_usd(limit),
        "limit_reset": reset and reset.value,
        "expires_at": None if days is None else now_ms() + int(days * DAY_MS),
        "requests_per_minute": per_minute,
    }
    kind = CallerKind.MANAGEMENT if management or everywhere else CallerKind.INFERENCE
    with local_database() as database, database.transaction() as connection:
        owner = find_workspace_id(connection, workspace or accounts.DEFAULT_WORKSPACE)
        made = administration.create(connection, CLI, KeyOptions(owner, name, kind, columns))
    typer.echo(made.key)
    print_error(f"{made.id} is created; the key above is shown this once")


@keys.command("list")
def list_keys() -> None:
    """List the keys of every workspace, oldest first, without the secrets."""
    with local_database() as database:
        known = database.read_now(accounts.list_keys)
    table = Table(
        *("id", "name", "key", "workspace", "status", "created", "kind", "used"),
        box=None,
        pad_edge=False,
    )
    for key in known:
        used = "never" if key.last_used_at is None else day(key.last_used_at)
        place = "(everywhere)" if key.everywhere else key.workspace
        table.add_row(
            *(key.id, key.name, key.label, place, _state(key), day(key.created_at)),
            *(key.kind, used),
        )
    print_table(table)


@keys.command("scopes")
def set_scopes(
    key_id: Annotated[str, typer.Argument(help="Key id (key_…).")],
    scopes: Annotated[list[Scope] | None, typer.Argument(help="No scope removes all.")] = None,
) -> None:
    """Set what an inference key may do besides running and reading its own jobs."""
    columns = {"scopes": orjson.dumps(scopes or []).decode()}
    with local_database() as database, database.transaction() as connection:
        row = accounts.find_key(connection, key_id)
        if row is not None:
            administration.change(connection, CLI, row, columns)
    if row is None:
        print_error(f"there is no key {key_id!r}: see `waybill keys list`")
        raise typer.Exit(1)
    typer.echo(f"{key_id} has the scopes: {', '.join(scopes or ['none'])}")


@keys.command()
def disable(key_id: Annotated[str, typer.Argument(help="Key id (key_…).")]) -> None:
    """Disable a key: it stops working within a second. Jobs it submitted continue."""
    with local_database() as database, database.transaction() as connection:
        row = accounts.find_key(connection, key_id)
        if row is not None:
            administration.change(connection, CLI, row, {"disabled": True})
    if row is None:
        print_error(f"there is no key {key_id!r}: see `waybill keys list`")
        raise typer.Exit(1)
    typer.echo(f"{key_id} is disabled")


def _state(key: ListedKey) -> str:
    if key.disabled:
        return "disabled"
    return "expired" if key.expires_at is not None and key.expires_at <= now_ms() else "active"
