"""`waybill doctor`: what is wrong with this installation, and what is to be done about it.

A check returns what it found in one line, or raises CheckFailed with the remedy.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import typer
from kombu.connection import Connection as Transport
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from broker.catalog.selection import USUAL_OUTPUTS
from broker.providers import configuration as provider_rows
from broker.security.redaction import redact
from broker.settings import Settings, config_path
from cli import data_directory, database
from cli.client.client import providers_of_server
from cli.client.server import about_the_key, configured, message, unreachable
from cli.commands.providers import disabled
from cli.configuration import is_up_here, load_configuration
from cli.database import CheckFailed, look_up_catalog

OLDEST_PYTHON = (3, 11)
PATIENCE_SECONDS = 3
SHOWN = 4  # names of models


def python() -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        raise CheckFailed(f"{version}: Waybill needs 3.11 or newer")
    return version


def configuration(environ: Mapping[str, str]) -> str:
    """Say where the configuration, which has been read, comes from."""
    path = config_path()
    variables = sum(name.startswith("WAYBILL_") for name in environ)
    return f"{path if path.is_file() else f'no {path}'}, {variables} WAYBILL_* variables"


def data_dir(config: Settings) -> str:
    """Check that files can be made in the data directory, and that others cannot read it."""
    place = config.data_dir
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise CheckFailed(
            f"{place} cannot be written ({error.strerror}): choose another with WAYBILL_DATA_DIR"
        ) from None
    if place == config.data_dir and data_directory.is_open(place):
        raise CheckFailed(data_directory.exposed(place))
    return str(config.data_dir) + ("" if place == config.data_dir else " (not there yet)")


def redis(config: Settings) -> str:
    """Check that Redis or Valkey answers and keeps what it is told."""
    with contextlib.closing(
        Redis.from_url(
            config.redis, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS
        )
    ) as connection:
        try:
            server = connection.info("server")
            keeps = _keeps(connection)
        except (RedisError, OSError) as error:
            raise CheckFailed(_no_redis(config, error)) from error
    name = "valkey" if "valkey_version" in server else "redis"
    version = server.get("valkey_version") or server.get("redis_version")
    if not keeps:
        raise CheckFailed(
            f"{name} {version} loses its queues when it restarts: set `appendonly yes` there "
            "(no job is lost without it, but the dispatcher has to publish them again)"
        )
    return f"{name} {version}, append-only file on"


def transport(config: Settings) -> str:
    """Check that Celery's transport answers."""
    connection: Any = Transport(config.transport, connect_timeout=PATIENCE_SECONDS)  # type: ignore[no-untyped-call]
    shown: str = connection.as_uri()  # without the password
    try:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=PATIENCE_SECONDS)
    except Exception as error:
        why = f"({error}): check WAYBILL_BROKER_URL" if config.broker_url else "either"
        raise CheckFailed(f"{shown} does not answer {why}") from error
    finally:
        connection.release()
    return shown


def providers(config: Settings) -> str:
    """Check that somebody can be called."""
    known = provider_rows.load_providers(config)
    if not known:
        if others := providers_of_server():
            return f"{', '.join(others)} at {configured().url}; none here"
        raise CheckFailed("none: set e.g. OPENAI_API_KEY, or write a [[providers]] table")
    keyless = [
        row.slug
        for row in config.providers
        if (row.api_key or "").startswith(provider_rows.ENV_PREFIX) and not known[row.slug].api_key
    ]
    if keyless:
        raise CheckFailed(
            f"{', '.join(keyless)}: the variable that api_key names in {config_path()} is not set"
        )
    return ", ".join(known)


def credentials(config: Settings) -> str:
    """Check that no provider has been refusing our key while it was called."""
    refused = disabled(config)
    if refused:
        told = "; ".join(f"{provider} refuses our key ({why})" for provider, why in refused.items())
        raise CheckFailed(
            f"{told}: correct it and restart the workers; `waybill providers check` tries it"
        )
    return "none refused"


def wires(config: Settings) -> str:
    """Check that every provider speaks a language we know, with deviations that we know."""
    from workers.provider_routes import build_routes  # noqa: PLC0415  # loads every adapter

    known = provider_rows.load_providers(config)
    build_routes(known)
    return ", ".join(sorted({provider.wire for provider in known.values()})) or "none needed"


def models(config: Settings) -> str:
    """Check that something can be asked for; count as `GET /models` does."""
    known = look_up_catalog(config).models
    if not known:
        raise CheckFailed("none: configure a provider, or write [[models]] tables")
    usual = [slug for slug, model in known.items() if USUAL_OUTPUTS & {*model.output_modalities}]
    shown = ", ".join(usual[:SHOWN])
    more = ", …" if len(usual) > SHOWN else ""
    others = len(known) - len(usual)
    return f"{len(usual)}: {shown}{more}" + (f"; {others} of other kinds" if others else "")


def server(_config: Settings) -> str:
    """Check that an API answers at WAYBILL_URL, that it can serve, and that it takes our key."""
    where = configured()
    try:
        with httpx.Client(timeout=10, trust_env=not where.is_local) as http:
            health = http.get(f"{where.url}/health/ready")
            allowed = http.get(f"{where.api}/jobs", params={"limit": 1}, headers=where.headers)
    except httpx.TransportError as error:
        raise CheckFailed(str(unreachable(where, error))) from None
    report = health.json().get("checks", {}) if "json" in health.headers["content-type"] else {}
    wrong = [f"{name}: {_reason(check)}" for name, check in report.items() if not check["ok"]]
    if wrong or not report:
        raise CheckFailed(f"{where.url} cannot serve ({'; '.join(wrong) or message(health)})")
    if allowed.status_code == httpx.codes.UNAUTHORIZED:
        raise CheckFailed(f"{where.url} is ready, but: {about_the_key(where, message(allowed))}")
    return f"{where.url} is ready: {', '.join(report)}"


def _reason(check: Mapping[str, object]) -> object:
    return check.get("error") or "none"


def _keeps(connection: Redis) -> bool:
    """Ask whether the append-only file is on; managed servers often refuse to say."""
    try:
        return bool(connection.info("persistence").get("aof_enabled"))
    except ResponseError:
        return True


def _no_redis(config: Settings, error: Exception) -> str:
    if config.redis_url:
        return f"does not answer ({error}): check WAYBILL_REDIS_URL"
    return f"no Valkey at {config.valkey_socket}: `waybill up` starts it"


Check = Callable[[Settings], str]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("data directory", data_dir),
    ("database", database.check_database),
    ("redis", redis),
    ("transport", transport),
    ("providers", providers),
    ("credentials", credentials),
    ("wires", wires),
    ("models", models),
    ("server", server),
)


def doctor() -> None:
    """Check this machine's configuration and services; exit with 1 when something is wrong."""
    fine = True
    for name, is_well, finding in _findings():
        mark = typer.style("ok   ", fg="green") if is_well else typer.style("WRONG", fg="red")
        typer.echo(f"{mark} {name:<15} {redact(finding)}")
        fine = fine and is_well
    raise typer.Exit(0 if fine else 1)


def _findings() -> Iterator[tuple[str, bool, str]]:
    """Yield (what, whether it is well, one line about it)."""
    yield _examine("python", python)
    try:
        config = load_configuration()
    except SystemExit as error:
        yield "configuration", False, _one_line(str(error))
        return
    yield "configuration", True, _configuration(config)
    for name, check in CHECKS:
        yield _examine(name, check, config)


def _configuration(config: Settings) -> str:
    found = configuration(os.environ)
    return f"of the `waybill up` that runs here: {found}" if is_up_here(config) else found


def _examine(name: str, check: Callable[..., str], *given: Settings) -> tuple[str, bool, str]:
    try:
        return name, True, _one_line(check(*given))
    except CheckFailed as error:
        return name, False, _one_line(str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever is wrong is the finding
        return name, False, _one_line(str(error) or type(error).__name__)


def _one_line(text: str) -> str:
    return " ".join(text.removeprefix("waybill: ").split())
