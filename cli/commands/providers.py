"""`waybill providers`: list and check providers, pause and resume them."""

import contextlib
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import httpx
import typer
from redis import Redis
from redis.exceptions import RedisError

from broker.accounts.audit import CLI
from broker.administration import providers as administered
from broker.clock import now_ms
from broker.providers import pauses as provider_pauses
from broker.providers.configuration import (
    Provider,
    check_variables,
    describe_missing_key,
    find_key,
    load_providers,
)
from broker.providers.endpoint_stats import WHOLE_PROVIDER
from broker.providers.health import circuits
from broker.providers.pacing import shared
from broker.providers.pauses import ProviderPause
from broker.providers.vendors import vendors
from broker.security.redaction import redact
from broker.settings import Settings
from broker.storage.database import Database
from cli import database as local
from cli.client.client import providers_of_server
from cli.client.server import configured as server
from cli.configuration import is_up_here, load_configuration
from cli.database import local_database, look_up_catalog
from cli.messages import print_error
from cli.output import Table, open_console

TIMEOUT_SECONDS = 3


def disabled(config: Settings) -> dict[str, str]:
    """Return why, by provider, for each that is disabled now; none where Redis does not answer."""
    with _connected(config) as connection:
        try:
            stored = connection.hgetall(circuits.KEY)
        except (RedisError, OSError):
            return {}
    return {
        provider: known.why
        for (provider, model), known in circuits.decode_all(stored).items()  # type: ignore[arg-type]
        if model == WHOLE_PROVIDER and known.until
    }


def paused(config: Settings, now: int) -> dict[str, list[str]]:
    """Return each provider's paused models with reason and end; none without Redis."""
    with _connected(config) as connection:
        try:
            stored = connection.hgetall(shared.KEY)
        except (RedisError, OSError):
            return {}
    found: dict[str, list[str]] = {}
    for (provider, model), pause in sorted(shared.read_pauses(stored).items()):  # type: ignore[arg-type]
        if pause.until > now:
            left = math.ceil((pause.until - now) / 1000)
            reason = pause.reason.value.replace("_", " ")
            found.setdefault(provider, []).append(f"{model} paused for {left} s ({reason})")
    return found


def enable(config: Settings, provider: str) -> None:
    """Take a provider whose key was just accepted back into service, where Redis answers."""
    with _connected(config) as connection, contextlib.suppress(RedisError, OSError):
        connection.hdel(circuits.KEY, circuits.encode_endpoint((provider, WHOLE_PROVIDER)))


def _connected(config: Settings) -> contextlib.closing[Redis]:
    return contextlib.closing(
        Redis.from_url(
            config.redis, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
        )
    )


def pause(
    slug: Annotated[str, typer.Argument(help="The provider's slug.")],
    reason: Annotated[str | None, typer.Option(help="Shown to operators.")] = None,
) -> None:
    """Stop all calls to a provider, in every process, without a restart.

    Calls that have begun end normally. Its jobs wait, or go to another endpoint of their plan.
    """
    known = load_providers(load_configuration())
    if slug not in known:
        print_error(f"there is no provider {slug!r} here: the providers are {', '.join(known)}")
        raise typer.Exit(1)
    with local_database() as database, database.transaction() as connection:
        is_new = administered.pause(connection, CLI, slug, reason)
    typer.echo(f"{slug} is paused." if is_new else f"{slug} was paused already.")


def resume(slug: Annotated[str, typer.Argument(help="The provider's slug.")]) -> None:
    """Let calls to a paused provider go again."""
    with local_database() as database, database.transaction() as connection:
        was_paused = administered.resume(connection, CLI, slug)
    typer.echo(f"{slug} is resumed." if was_paused else f"{slug} was not paused.")


def read_paused(config: Settings) -> Mapping[str, ProviderPause]:
    """Return the pauses by slug; none where there is no current database."""
    try:
        local.check_database(config)
    except local.CheckFailed:
        return {}
    with contextlib.closing(Database(config.database)) as database:
        return {row.provider: row for row in database.read_now(provider_pauses.read_pauses)}


providers = typer.Typer(
    help="List providers, check their keys, pause and resume them.", no_args_is_help=True
)
providers.command()(pause)
providers.command()(resume)


@providers.command("list")
def list_providers(
    everything: Annotated[
        bool, typer.Option("--all", help="Include providers without a key.")
    ] = False,
) -> None:
    """List configured providers, and those that are partly configured."""
    from workers.provider_routes import build_routes  # noqa: PLC0415  # loads every adapter

    config = load_configuration()
    known = load_providers(config)
    build_routes(known)
    table = Table("slug", "name", "wire", "status", "models", "base URL", box=None, pad_edge=False)
    for row in (
        *_configured_rows(config, known),
        *_unconfigured_rows(known, everything=everything),
    ):
        table.add_row(*row)
    open_console().print(
        table if table.row_count else "none: set e.g. OPENAI_API_KEY (--all lists them)"
    )


@providers.command()
def check(
    slugs: Annotated[list[str] | None, typer.Argument(help="Only these providers.")] = None,
) -> None:
    """Try the key of each provider with one free request; exit code 1 when one fails."""
    from cli.commands.provider_checks import TIMEOUT_SECONDS, check  # noqa: PLC0415  # loads every adapter

    config = load_configuration()
    known = load_providers(config)
    chosen = slugs or list(known)
    _print_key_source(config)
    fine = bool(chosen)
    disabled_now = disabled(config)
    # like a worker: no proxy of the environment, no redirects
    with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False) as http:
        for slug in chosen:
            if slug in known:
                finding = check(known[slug], http)
                is_well, text = finding.is_well, finding.text
                if is_well and slug in disabled_now:
                    enable(config, slug)
                    text += "; it was disabled, and is back in service"
                elif slug in disabled_now:
                    text += " (disabled)"
            else:
                is_well, text = False, _describe_missing(slug)
            _print_finding(slug, text, is_well=is_well)
            fine = fine and is_well
    if not chosen:
        print_error("no provider can be called: `waybill providers list --all` says what to set")
    raise typer.Exit(0 if fine else 1)


def _print_key_source(config: Settings) -> None:
    """Say on stderr where the keys come from, if they may not be those of the running server."""
    if is_up_here(config):
        print_error(f"these are the keys of the `waybill up` on {config.data_dir}")
    elif served := providers_of_server():
        print_error(
            f"these are the keys of this environment; the server at {server().url} has "
            f"{', '.join(served)}: to check its keys, run this where it runs"
        )


def _configured_rows(config: Settings, known: Mapping[str, Provider]) -> Iterator[Sequence[str]]:
    served, disabled_now, pauses = _count_models(config), disabled(config), paused(config, now_ms())
    paused_now = read_paused(config)
    rows = {row.slug: row for row in config.providers}
    for provider in known.values():
        open_to_all = provider.vendor is not None and provider.vendor.any_model
        models = "any" if open_to_all else str(served[provider.slug])
        state = describe_missing_key(provider, rows.get(provider.slug)) or "configured"
        state += ", disabled: it refuses the key" if provider.slug in disabled_now else ""
        if provider.slug in paused_now:
            state += f"; paused: {paused_now[provider.slug].reason or 'no reason given'}"
        state = "; ".join((state, *pauses.get(provider.slug, ())))
        yield provider.slug, provider.name, provider.wire, state, models, provider.base_url


def _count_models(config: Settings) -> Counter[str]:
    models = look_up_catalog(config).models.values()
    return Counter(endpoint.provider for model in models for endpoint in model.endpoints)


def _unconfigured_rows(
    known: Mapping[str, Provider], *, everything: bool
) -> Iterator[Sequence[str]]:
    """Yield the vendors that cannot be called; of those without a key only on request."""
    for vendor in vendors().values():
        if vendor.slug in known or not (everything or find_key(vendor, os.environ)):
            continue
        missing = check_variables(vendor, os.environ).missing or ""
        yield vendor.slug, vendor.name, vendor.wire, missing, "", vendor.base_url


def _describe_missing(slug: str) -> str:
    vendor = vendors().get(slug)
    if vendor is None:
        return "unknown: `waybill providers list --all` lists what there is"
    return f"not configured: {check_variables(vendor, os.environ).missing}"


def _print_finding(slug: str, text: str, *, is_well: bool) -> None:
    mark = typer.style("ok   ", fg="green") if is_well else typer.style("WRONG", fg="red")
    typer.echo(f"{mark} {slug:<20} {redact(text)}")
