"""`waybill providers pause` and `resume`: stop and restart calls to a provider."""

import contextlib
from collections.abc import Mapping
from typing import Annotated

import typer

from broker import provider_pauses
from broker.audit import CLI
from broker.database import Database
from broker.provider_pauses import Pause
from broker.providers import configured
from broker.settings import Settings
from cli import database as local
from cli.configuration import in_force
from cli.database import local_database
from cli.messages import complain


def pause(
    slug: Annotated[str, typer.Argument(help="The provider's slug.")],
    reason: Annotated[str | None, typer.Option(help="Shown to operators.")] = None,
) -> None:
    """Stop all calls to a provider, in every process, without a restart.

    Calls that have begun end normally. Its jobs wait, or go to another endpoint of their plan.
    """
    known = configured(in_force())
    if slug not in known:
        complain(f"there is no provider {slug!r} here: the providers are {', '.join(known)}")
        raise typer.Exit(1)
    with local_database() as database, database.transaction() as connection:
        is_new = provider_pauses.pause(connection, CLI, slug, reason)
    typer.echo(f"{slug} is paused." if is_new else f"{slug} was paused already.")


def resume(slug: Annotated[str, typer.Argument(help="The provider's slug.")]) -> None:
    """Let calls to a paused provider go again."""
    with local_database() as database, database.transaction() as connection:
        was_paused = provider_pauses.resume(connection, CLI, slug)
    typer.echo(f"{slug} is resumed." if was_paused else f"{slug} was not paused.")


def read_paused(config: Settings) -> Mapping[str, Pause]:
    """Return the pauses by slug; none where there is no current database."""
    try:
        local.check_database(config)
    except local.CheckFailed:
        return {}
    with contextlib.closing(Database(config.database)) as database:
        return {row.provider: row for row in database.read_now(provider_pauses.read_pauses)}
