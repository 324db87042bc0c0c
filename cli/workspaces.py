"""A workspace, as all commands let one be named."""

from typing import Any

import typer
from sqlalchemy import Connection

from broker import accounts
from broker.administration import workspaces as administration
from cli.messages import complain

NAMED = "A workspace's id, slug or name."


def workspace_id(connection: Connection, wanted: str) -> str:
    """Return the id of the workspace that is meant; exit with a hint where there is none."""
    found = accounts.find_workspace(connection, wanted)
    if found is None:
        complain(f"there is no workspace {wanted!r}: see `waybill workspaces list`")
        raise typer.Exit(1)
    return found


def workspace_row(connection: Connection, wanted: str) -> Any:
    """Return the row of the workspace that is meant; exit with a hint where there is none."""
    return administration.found(connection, workspace_id(connection, wanted))
