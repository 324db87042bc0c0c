"""`waybill credentials`: credentials of workspaces at providers, directly in the database."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
import typer
from sqlalchemy import Connection

from broker import accounts, settings
from broker import credentials as own
from broker.accounts.audit import CLI
from broker.administration import credentials as administration
from broker.credentials import CredentialFilter, CredentialRow
from broker.credentials.records import NewCredential, label_of, read_key
from broker.errors import WaybillError
from broker.providers import configuration
from broker.security.encryption import Encryption
from broker.settings.installation_key import older_keys, signing_key
from cli.database import WORKSPACE_HELP, find_workspace_id, local_database
from cli.messages import print_error
from cli.output import Table, print_table

credentials = typer.Typer(
    help="Manage provider credentials of workspaces (BYOK). Works on the database.",
    no_args_is_help=True,
)


@credentials.command()
def add(
    provider: Annotated[str, typer.Argument(help="The provider's slug, e.g. openai.")],
    workspace: Annotated[str, typer.Option(help=WORKSPACE_HELP)] = accounts.DEFAULT_WORKSPACE,
    name: Annotated[str | None, typer.Option(help="A name for it.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Only for this model; may be repeated.")
    ] = None,
    fallback: Annotated[bool, typer.Option(help="Try it after the installation's key.")] = False,
    required: Annotated[
        bool, typer.Option(help="Never use the installation's key instead.")
    ] = False,
) -> None:
    """Add a key, read from a prompt or standard input; it is encrypted and never shown again."""
    config = settings.load()
    if provider not in configuration.load_byok_providers(config):
        print_error(f"{provider!r} cannot be called: see `waybill providers list`")
        raise typer.Exit(1)
    given = typer.prompt("Key", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline()
    try:
        key = read_key(given)
        encryption = Encryption(signing_key(config), older_keys(config))
    except WaybillError as error:
        print_error(str(error))
        raise typer.Exit(1) from None
    columns: dict[str, Any] = {"name": name, "is_fallback": fallback, "is_required": required}
    if model:
        columns["allowed_models"] = orjson.dumps(model).decode()
    with local_database() as database, database.transaction() as connection:
        owner = find_workspace_id(connection, workspace)
        new = NewCredential(owner, provider, encryption.encrypt(key), label_of(key), columns)
        row = administration.create(connection, CLI, new)
    typer.echo(f"{row.id} is stored: {provider}, {row.label}")


@credentials.command("list")
def list_credentials() -> None:
    """List the credentials of every workspace, in the order of use."""
    with local_database() as database:
        rows, _ = database.read_now(_list_all)
    table = Table(
        *("id", "workspace", "provider", "name", "key", "use", "status"), box=None, pad_edge=False
    )
    for row in rows:
        table.add_row(
            *(row.id, row.workspace_id, row.provider, row.name or "", row.label),
            *(_use(row), _state(row)),
        )
    print_table(table)


@credentials.command()
def disable(credential_id: Annotated[str, typer.Argument(help="Its id (byok_…).")]) -> None:
    """Disable a credential; jobs stop using it within a second."""
    _set(credential_id, disabled=True)
    typer.echo(f"{credential_id} is disabled")


@credentials.command()
def enable(credential_id: Annotated[str, typer.Argument(help="Its id (byok_…).")]) -> None:
    """Enable a credential again, e.g. after its provider refused it."""
    _set(credential_id, disabled=False)
    typer.echo(f"{credential_id} is enabled")


@credentials.command()
def rotate() -> None:
    """Encrypt every secret in the database again with the current WAYBILL_SECRET_KEY.

    Before: set WAYBILL_OLD_SECRET_KEYS to the old one and restart all processes. After: remove the
    old one.
    """
    config = settings.load()
    encryption = Encryption(signing_key(config), older_keys(config))
    try:
        with local_database() as database, database.transaction() as connection:
            done = own.rotate(connection, encryption)
    except WaybillError as error:
        print_error(f"{error} Nothing was changed.")
        raise typer.Exit(1) from None
    typer.echo(f"{done} secrets are encrypted again; WAYBILL_OLD_SECRET_KEYS can be removed")


def _set(credential_id: str, *, disabled: bool) -> None:
    with local_database() as database, database.transaction() as connection:
        row = own.find(connection, credential_id)
        if row is not None:
            administration.change(connection, CLI, row, {"disabled": disabled})
    if row is None:
        print_error(f"there is no key {credential_id!r}: see `waybill credentials list`")
        raise typer.Exit(1)


def _list_all(connection: Connection) -> tuple[Sequence[CredentialRow], int]:
    return own.list_credentials(connection, CredentialFilter(None), limit=10_000)


def _use(row: CredentialRow) -> str:
    if row.is_fallback:
        return "fallback"
    return "required" if row.is_required or row.is_byok_only else "first"


def _state(row: CredentialRow) -> str:
    if row.disabled:
        return f"disabled: {row.disabled_reason}" if row.disabled_reason else "disabled"
    return f"active, last error: {row.last_error}" if row.last_error else "active"
