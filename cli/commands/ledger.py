"""`waybill ledger`: verify the ledger."""

import time
from typing import Annotated

import orjson
import typer

from broker.billing import ledger
from cli.database import WORKSPACE_HELP, find_workspace_id, local_database
from cli.messages import print_error

SHOWN = 20

ledger_ = typer.Typer(
    help="Verify the append-only ledger. Works on the database; no server is needed.",
    no_args_is_help=True,
)


@ledger_.callback()
def _group() -> None:
    """Keep `verify` a subcommand although it is the only one."""


@ledger_.command()
def verify(
    workspace: Annotated[str | None, typer.Option(help=f"Only this one. {WORKSPACE_HELP}")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Recompute chain, balances, jobs and usage; exit with 1 if they do not match.

    Keep the printed heads elsewhere: a later chain that does not contain them was rewritten.
    """
    began = time.monotonic()
    with local_database() as database:
        chosen = None if workspace is None else database.read_now(find_workspace_id, workspace)
        verdict = database.read_now(ledger.verify, chosen)
    if as_json:
        typer.echo(orjson.dumps(verdict, option=orjson.OPT_INDENT_2).decode())
        raise typer.Exit(bool(verdict.flaws))
    for id_, (sequence, hash_) in sorted(verdict.heads.items()):
        typer.echo(f"{id_}  entry {sequence}  {hash_}")
    took = time.monotonic() - began
    counted = f"{verdict.entries:,} entries ({verdict.unchained:,} not chained yet)"
    typer.echo(f"{counted} and {verdict.jobs:,} jobs verified in {took:.1f} s")
    for flaw in verdict.flaws[:SHOWN]:
        print_error(f"{flaw.where}: {flaw.what}")
    if verdict.flaws:
        print_error(
            f"the ledger is not consistent: {len(verdict.flaws)} flaws, the first at the top"
        )
        raise typer.Exit(1)
    typer.echo("the ledger is consistent")
