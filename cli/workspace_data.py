"""`waybill workspaces export` and `forget`: what is kept of a workspace, taken along or away."""

from pathlib import Path
from typing import Annotated

import typer

from broker.administration import workspaces as administration
from broker.audit import CLI
from broker.errors import WaybillError
from broker.exporting import exported
from cli.database import local_database
from cli.messages import complain
from cli.workspaces import NAMED, workspace_row

Where = Annotated[str, typer.Argument(help=NAMED)]


def export(
    workspace: Where,
    directory: Annotated[Path, typer.Argument(help="Where to write; made if it is not there.")],
) -> None:
    """Write a workspace's jobs, generations and ledger as JSONL files."""
    try:
        with local_database() as database:
            place = database.read_now(workspace_row, workspace)
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, lines in exported(database, place.id).items():
                with (directory / name).open("wb") as file:
                    count = sum(1 for line in lines if file.write(line))
                typer.echo(f"{directory / name}: {count}")
    except (WaybillError, OSError) as error:
        complain(str(error))
        raise typer.Exit(1) from None


def forget(
    workspace: Where,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget prompts, answers, files and metadata of all that has ended; books and usage stay."""
    try:
        with local_database() as database:
            place = database.read_now(workspace_row, workspace)
            if not yes:
                typer.confirm(f"Forget everything {place.name} has asked and was told?", abort=True)
            with database.transaction() as connection:
                administration.forget(connection, CLI, place)
    except WaybillError as error:
        complain(str(error))
        raise typer.Exit(1) from None
    typer.echo(f"{place.name}: a running worker forgets it in the next minutes, in small pieces")
