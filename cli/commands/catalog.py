"""`waybill catalog`: refresh, diff, discover, history, undo. Works on the database."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import httpx
import typer
from sqlalchemy import Connection

from broker import settings
from broker.accounts import audit
from broker.accounts.audit import CLI, AuditedChange
from broker.catalog import discovered, imports, models_dev
from broker.catalog.imports import Change, find_changes
from broker.catalog.live import group_by_slug, list_offers
from broker.catalog.models import Listing
from broker.catalog.names import Namer
from broker.catalog.priced import list_priced_slugs
from broker.clock import now_ms
from broker.providers.configuration import Provider, load_providers
from broker.storage.database import Database
from cli.commands.price_tables import show_changes, show_history
from cli.commands.provider_checks import probe
from cli.database import open_database
from cli.messages import print_error
from cli.output import open_console
from workers.adapters.registry import ADAPTERS, WITHOUT_CHATS

MODELS_DEV = "https://models.dev/api.json"
TIMEOUT_SECONDS = 30
MODELS_PATH = "/models"


class PriceSourceError(Exception):
    """A list could not be read; the text is the reason and the remedy."""


def fetch_price_list(source: str) -> Any:
    """Return the JSON at a URL or in a file. Raises PriceSourceError."""
    try:
        if source.startswith(("http://", "https://")):
            return _get_json(source, {})
        return json.loads(Path(source).read_bytes())
    except OSError as error:
        raise PriceSourceError(f"{source} cannot be read: {error.strerror}") from None
    except ValueError:
        raise PriceSourceError(f"{source} is not JSON") from None


def fetch_model_list(provider: Provider) -> Any:
    """Return a provider's list of models. Raises PriceSourceError."""
    if provider.wire != "openai":
        raise PriceSourceError(f"{provider.slug} does not list its models as OpenAI does")
    headers = probe(provider, {**ADAPTERS, **WITHOUT_CHATS}[provider.wire]).headers
    try:
        return _get_json(provider.base_url + MODELS_PATH, dict(headers))
    except ValueError:
        raise PriceSourceError(
            f"{provider.slug} answered with something that is not JSON"
        ) from None


def _get_json(url: str, headers: dict[str, str]) -> Any:
    try:
        answer = httpx.get(url, headers=headers, timeout=TIMEOUT_SECONDS, follow_redirects=True)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PriceSourceError(f"{url} cannot be reached: {error}") from None
    if not answer.is_success:
        raise PriceSourceError(f"{url} answered {answer.status_code}")
    return answer.json()


Listed = TypeVar("Listed")

catalog = typer.Typer(
    help="Import models and prices. Nothing changes without --apply.", no_args_is_help=True
)

From = Annotated[str, typer.Option("--from", help="A URL, or a file: models.dev's api.json.")]
Apply = Annotated[
    bool, typer.Option("--apply", help="Change the catalog, also of running servers.")
]
Force = Annotated[
    list[str] | None, typer.Option(help="Apply this suspicious change too: provider:author/slug.")
]
Everything = Annotated[bool, typer.Option("--all", help="Show new endpoints and facts too.")]


@catalog.command()
def refresh(
    source: From = MODELS_DEV,
    apply: Apply = False,
    force: Force = None,
    everything: Everything = False,
) -> None:
    """Show what models.dev would change; change it with --apply.

    A price that moved tenfold is held back until --force names it.
    """
    body = _or_exit(lambda: fetch_price_list(source))
    namer = Namer(list_priced_slugs())
    with open_database(to_write=apply) as database:
        listings = _or_exit(lambda: list(models_dev.read(body, namer)))
        _import(database, namer, listings, "models.dev", apply=apply, force=force or [],
                everything=everything)  # fmt: skip


@catalog.command()
def diff(source: From = MODELS_DEV, everything: Everything = False) -> None:
    """Show what a refresh would change, without changing anything."""
    refresh(source=source, apply=False, force=None, everything=everything)


@catalog.command()
def discover(
    slugs: Annotated[list[str] | None, typer.Argument(help="Only these providers.")] = None,
    apply: Apply = False,
    force: Force = None,
) -> None:
    """List the models that configured providers offer, such as your own server.

    A model without a price is not imported; give it one in waybill.toml.
    """
    known = load_providers(settings.load())
    chosen = slugs or [each.slug for each in known.values() if each.wire == "openai"]
    if unknown := [slug for slug in chosen if slug not in known]:
        print_error(f"no provider {unknown[0]!r} is configured: see `waybill providers list`")
        raise typer.Exit(1)
    namer = Namer(list_priced_slugs())
    failed = False
    with open_database(to_write=apply) as database:
        for slug in chosen:
            try:
                listings = list(discovered.read(fetch_model_list(known[slug]), known[slug], namer))
            except PriceSourceError as error:
                print_error(str(error))
                failed = True
                continue
            open_console().print(f"{slug} lists {len(listings)} models")
            _import(database, namer, listings, f"GET {slug}/models", apply=apply,
                    force=force or [], everything=True)  # fmt: skip
    if failed:
        raise typer.Exit(1)


@catalog.command()
def history(
    provider: Annotated[str, typer.Argument(help="Provider slug.")],
    model: Annotated[str, typer.Argument(help="Model slug.")],
) -> None:
    """Show the imported facts of an endpoint, and since when they apply."""
    with open_database(to_write=False) as database:
        found = database.read_now(imports.list_history, provider, model)
    if found:
        show_history(found)
    else:
        open_console().print("no import contains it: the bundled price list applies")


@catalog.command()
def undo() -> None:
    """Undo the last import: prices return to what they were."""
    with open_database() as database, database.transaction() as connection:
        source = imports.undo(connection, now=now_ms())
        if source is not None:
            audit.record(connection, CLI, AuditedChange("catalog.undo", source, None))
    if source is None:
        print_error("there is no import to undo")
        raise typer.Exit(1)
    open_console().print(f"the import from {source} is undone")


def _import(
    database: Database,
    namer: Namer,
    listings: Sequence[Listing],
    source: str,
    *,
    apply: bool,
    force: Sequence[str],
    everything: bool,
) -> None:
    """Show the changes; with `apply`, apply those that are not suspicious or that are forced."""
    found = database.read_now(_compared, namer, listings, source)
    show_changes(found, everything=everything)
    held = [each for each in found if each.doubt and each.name not in force]
    for change in held:
        print_error(f"held back: {change.name}: {change.doubt} (--force {change.name})")
    taken = [each for each in found if each not in held]
    if not apply:
        if taken:
            print_error("nothing was changed: add --apply")
        return
    with database.transaction() as connection:
        if taken:
            made = imports.apply(connection, taken, source=source, now=now_ms())
            after = {"source": source, "changes": len(taken)}
            audit.record(connection, CLI, AuditedChange("catalog.apply", made, None, after=after))
    open_console().print(f"applied {len(taken)} changes; running processes follow within seconds")
    if held:
        raise typer.Exit(1)


def _compared(
    connection: Connection, namer: Namer, listings: Iterable[Listing], source: str
) -> list[Change]:
    now = now_ms()
    offers = [*imports.list_current(connection, now), *list_offers(namer)]
    known = {each.key: each for gathered in group_by_slug(offers).values() for each in gathered}
    return find_changes(known, listings, imports.list_imported(connection, source, now))


def _or_exit(step: Callable[[], Listed]) -> Listed:
    try:
        return step()
    except (PriceSourceError, models_dev.ModelListError) as error:
        print_error(str(error))
        raise typer.Exit(1) from None
