"""`waybill users` and `waybill workspaces`: manage users, workspaces and their contents."""

from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.exc import IntegrityError

from broker import accounts
from broker.accounts import DEFAULT_WORKSPACE, Role, users
from broker.accounts import users as members
from broker.accounts.audit import CLI
from broker.administration import users as people
from broker.administration import workspaces as administration
from broker.administration.users import NewUser
from broker.errors import WaybillError
from broker.jobs.export import export_workspace
from cli.database import (
    WORKSPACE_HELP,
    find_workspace_id,
    get_workspace_row,
    load_with_links,
    local_database,
)
from cli.messages import print_error
from cli.output import Table, day, print_table

WorkspaceName = Annotated[str, typer.Argument(help=WORKSPACE_HELP)]


def export(
    workspace: WorkspaceName,
    directory: Annotated[Path, typer.Argument(help="Output directory; created if missing.")],
) -> None:
    """Write a workspace's jobs, generations and ledger as JSONL files."""
    try:
        with local_database() as database:
            found = database.read_now(get_workspace_row, workspace)
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, lines in export_workspace(database, found.id).items():
                with (directory / name).open("wb") as file:
                    count = sum(1 for line in lines if file.write(line))
                typer.echo(f"{directory / name}: {count}")
    except (WaybillError, OSError) as error:
        print_error(str(error))
        raise typer.Exit(1) from None


def forget(
    workspace: WorkspaceName,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Delete prompts, answers, files and metadata of ended jobs; ledger and usage stay."""
    try:
        with local_database() as database:
            found = database.read_now(get_workspace_row, workspace)
            if not yes:
                typer.confirm(f"Delete all prompts and answers of {found.name}?", abort=True)
            with database.transaction() as connection:
                administration.delete_contents(connection, CLI, found)
    except WaybillError as error:
        print_error(str(error))
        raise typer.Exit(1) from None
    typer.echo(
        f"{found.name}: a running worker deletes the data in the next minutes, in small pieces"
    )


LIMIT = 10_000

users_ = typer.Typer(
    help="Create, list and disable users. Works on the database; no server is needed.",
    no_args_is_help=True,
)
workspaces_ = typer.Typer(
    help="Manage workspaces and their members. Works on the database.",
    no_args_is_help=True,
)

User = Annotated[str, typer.Argument(help="A user's id or e-mail address.")]


@users_.command("create")
def create_user(
    email: Annotated[str, typer.Argument(help="E-mail address.")],
    name: Annotated[str, typer.Option(help="Name.")] = "",
    operator: Annotated[
        bool, typer.Option("--operator", help="Make the user an operator of the installation.")
    ] = False,
    workspace: Annotated[str, typer.Option(help=WORKSPACE_HELP)] = DEFAULT_WORKSPACE,
    role: Annotated[Role, typer.Option(help="The role in the workspace.")] = Role.MEMBER,
) -> None:
    """Create a user; print a link to choose a password, valid once within a week."""
    try:
        with local_database() as database, database.transaction() as connection:
            owner = find_workspace_id(connection, workspace)
            is_first = not users.has_users(connection)
            new = NewUser(
                email,
                name,
                operator or is_first,
                owner,
                Role.OWNER if is_first else role,
            )
            row = people.create(connection, CLI, new)
            token = people.invite(connection, CLI, row.id)
    except WaybillError as error:
        raise _exit_with(error) from None
    typer.echo(people.welcome_link(load_with_links(), token))
    print_error(f"{row.id} is created; the link above works once, within a week")


@users_.command("list")
def list_users() -> None:
    """List users, oldest first."""
    with local_database() as database:
        rows, _ = database.read_now(lambda connection: users.list_users(connection, limit=LIMIT))
    table = Table("id", "e-mail", "name", "status", "created", box=None, pad_edge=False)
    for row in rows:
        state = "disabled" if row.disabled else "operator" if row.is_operator else "active"
        table.add_row(row.id, row.email, row.name, state, day(row.created_at))
    print_table(table)


@users_.command("disable")
def disable_user(who: User) -> None:
    """Disable a user and end their sessions. Their keys keep working: see `waybill keys list`."""
    try:
        with local_database() as database, database.transaction() as connection:
            row = people.change(connection, CLI, who, {"disabled": True})
    except WaybillError as error:
        raise _exit_with(error) from None
    typer.echo(f"{row.email} is disabled")


@users_.command("link")
def link_user(who: User) -> None:
    """Print a link to choose a new password, valid once within a week."""
    try:
        with local_database() as database, database.transaction() as connection:
            token = people.invite(connection, CLI, who)
    except WaybillError as error:
        raise _exit_with(error) from None
    typer.echo(people.welcome_link(load_with_links(), token))


@workspaces_.command("create")
def create_workspace(
    name: Annotated[str, typer.Argument(help="Name, e.g. of a department.")],
    slug: Annotated[
        str | None, typer.Option(help="Short name; the default is derived from the name.")
    ] = None,
    unlimited: Annotated[bool, typer.Option("--unlimited", help="Unlimited credit.")] = False,
) -> None:
    """Create a workspace and print its id."""
    columns = {"name": name, "unlimited": unlimited, **({} if slug is None else {"slug": slug})}
    try:
        with local_database() as database, database.transaction() as connection:
            row = administration.create(connection, CLI, columns)
    except IntegrityError:
        print_error(f"the slug {slug!r} is taken")
        raise typer.Exit(1) from None
    typer.echo(row.id)


@workspaces_.command("list")
def list_workspaces() -> None:
    """List workspaces, oldest first."""
    with local_database() as database:
        rows, _ = database.read_now(
            lambda connection: accounts.list_workspaces(connection, None, limit=LIMIT)
        )
    table = Table("id", "slug", "name", "credit", "created", box=None, pad_edge=False)
    for row in rows:
        credit = "unlimited" if row.unlimited else "prepaid"
        table.add_row(row.id, row.slug, row.name, credit, day(row.created_at))
    print_table(table)


@workspaces_.command("members")
def list_members(workspace: WorkspaceName = DEFAULT_WORKSPACE) -> None:
    """List the members of a workspace with their roles."""
    try:
        with local_database() as database:
            found = database.read_now(get_workspace_row, workspace)
            rows, _ = database.read_now(
                lambda connection: members.list_members(connection, found.id, limit=LIMIT)
            )
    except WaybillError as error:
        raise _exit_with(error) from None
    table = Table("user", "e-mail", "role", "since", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.user_id, row.email, row.role, day(row.created_at))
    print_table(table)


@workspaces_.command("add")
def add_member(workspace: WorkspaceName, who: User, role: Role = Role.MEMBER) -> None:
    """Add a user to a workspace, or change a member's role."""
    try:
        with local_database() as database, database.transaction() as connection:
            found = get_workspace_row(connection, workspace)
            administration.add_members(connection, CLI, found.id, [who], role, by_address=True)
    except WaybillError as error:
        raise _exit_with(error) from None
    typer.echo(f"{who} is {role.value} of {found.name}")


@workspaces_.command("remove")
def remove_member(workspace: WorkspaceName, who: User) -> None:
    """Remove a user from a workspace."""
    try:
        with local_database() as database, database.transaction() as connection:
            found = get_workspace_row(connection, workspace)
            user = people.get_user(connection, who)
            administration.remove_members(connection, CLI, found.id, [user.id])
    except WaybillError as error:
        raise _exit_with(error) from None
    typer.echo(f"{user.email} is no longer in {found.name}")


workspaces_.command()(export)
workspaces_.command()(forget)


def _exit_with(error: WaybillError) -> typer.Exit:
    print_error(error.message)
    return typer.Exit(1)
