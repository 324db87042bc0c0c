"""`waybill keys`: make, list and disable API keys, directly in the database."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from broker import accounts
from cli.local import local_database
from cli.remote.client import complain

PIPE_WIDTH = 160  # nobody wraps a table that is read by a program

keys = typer.Typer(
    help="Make, list and disable API keys. Works on the database: no server has to run.",
    no_args_is_help=True,
)


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    workspace: Annotated[
        str, typer.Option(help="Whose it is: a workspace's id or name.")
    ] = accounts.DEFAULT_WORKSPACE,
) -> None:
    """Make a key and print it: the only time it can be read."""
    with local_database() as database, database.transaction() as connection:
        owner = accounts.find_workspace(connection, workspace)
        made = owner and accounts.create_key(connection, owner, name)
    if not made:
        complain(f"there is no workspace {workspace!r}: `waybill migrate` makes the first one")
        raise typer.Exit(1)
    typer.echo(made.key)
    complain(f"{made.id} is made; the key above is shown this once")


@keys.command("list")
def list_keys() -> None:
    """List the keys of every workspace, oldest first; keys themselves are not kept."""
    with local_database() as database:
        known = database.read_now(accounts.list_keys)
    table = Table("id", "name", "key", "workspace", "state", "created", box=None, pad_edge=False)
    for key in known:
        state = "disabled" if key.disabled else "active"
        table.add_row(key.id, key.name, key.label, key.workspace, state, _day(key.created_at))
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    console.print(table)


@keys.command()
def disable(key_id: Annotated[str, typer.Argument(help="Key id (key_…).")]) -> None:
    """Disable a key: it stops working within a second. Jobs it submitted go on."""
    with local_database() as database, database.transaction() as connection:
        is_known = accounts.disable_key(connection, key_id)
    if not is_known:
        complain(f"there is no key {key_id!r}: see `waybill keys list`")
        raise typer.Exit(1)
    typer.echo(f"{key_id} is disabled")


def _day(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d")
