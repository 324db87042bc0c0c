"""`waybill doctor`: check this installation; print each problem with its remedy.

A check returns its finding in one line, or raises CheckFailed with the remedy.
"""

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

import httpx
import typer
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from broker import transport
from broker.catalog.selection import USUAL_OUTPUTS
from broker.providers import configuration as provider_rows
from broker.security.redaction import redact
from broker.settings import Settings, config_path
from cli import data_directory, database
from cli.client.client import providers_of_server
from cli.client.server import configured, describe_key_refusal, message, unreachable_error
from cli.commands.providers import disabled
from cli.configuration import is_up_here, load_configuration
from cli.database import CheckFailed, look_up_catalog

OLDEST_PYTHON = (3, 11)
TIMEOUT_SECONDS = 3
SHOWN_MODELS = 4  # names of models


def check_python() -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        raise CheckFailed(f"{version}: Waybill needs 3.11 or newer")
    return version


def describe_configuration(environ: Mapping[str, str]) -> str:
    """Return where the configuration comes from."""
    path = config_path()
    variables = sum(name.startswith("WAYBILL_") for name in environ)
    return f"{path if path.is_file() else f'no {path}'}, {variables} WAYBILL_* variables"


def check_data_directory(config: Settings) -> str:
    """Check that the data directory is writable, and that other users cannot read it."""
    directory = config.data_dir
    while not directory.exists():
        directory = directory.parent
    try:
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise CheckFailed(
            f"{directory} cannot be written ({error.strerror}): "
            "choose another with WAYBILL_DATA_DIR"
        ) from None
    if directory == config.data_dir and data_directory.is_open(directory):
        raise CheckFailed(data_directory.exposed(directory))
    return str(config.data_dir) + ("" if directory == config.data_dir else " (not there yet)")


def check_redis(config: Settings) -> str:
    """Check that Redis or Valkey answers and stores its data."""
    with contextlib.closing(
        Redis.from_url(
            config.redis, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
        )
    ) as connection:
        try:
            server = connection.info("server")
            is_durable = _has_append_only_file(connection)
        except (RedisError, OSError) as error:
            raise CheckFailed(_describe_redis_error(config, error)) from error
    name = "valkey" if "valkey_version" in server else "redis"
    version = server.get("valkey_version") or server.get("redis_version")
    if not is_durable:
        raise CheckFailed(
            f"{name} {version} loses its queues when it restarts: set `appendonly yes` there "
            "(no job is lost without it, but the dispatcher has to publish them again)"
        )
    return f"{name} {version}, append-only file on"


def check_transport(config: Settings) -> str:
    """Check that the server with the queues answers."""
    shown = _without_password(config.transport)
    try:
        asyncio.run(asyncio.wait_for(transport.check(config.transport), TIMEOUT_SECONDS))
    except (transport.TransportError, TimeoutError) as error:
        hint = f"({error}): check WAYBILL_BROKER_URL" if config.broker_url else "either"
        raise CheckFailed(f"{shown} does not answer {hint}") from error
    return shown


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user, _, address = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user.partition(':')[0]}:**@{address}").geturl()


def check_providers(config: Settings) -> str:
    """Check that a provider can be called."""
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


def check_credentials(config: Settings) -> str:
    """Check that no provider refuses our key."""
    refused = disabled(config)
    if refused:
        refusals = "; ".join(
            f"{provider} refuses our key ({hint})" for provider, hint in refused.items()
        )
        raise CheckFailed(
            f"{refusals}: correct it and restart the workers; `waybill providers check` tries it"
        )
    return "none refused"


def check_wires(config: Settings) -> str:
    """Check that the wires and quirks of every provider are known."""
    from workers.provider_routes import build_routes  # noqa: PLC0415  # loads every adapter

    known = provider_rows.load_providers(config)
    build_routes(known)
    return ", ".join(sorted({provider.wire for provider in known.values()})) or "none needed"


def check_models(config: Settings) -> str:
    """Check that there is a model; count as `GET /models` does."""
    known = look_up_catalog(config).models
    if not known:
        raise CheckFailed("none: configure a provider, or write [[models]] tables")
    listed = [slug for slug, model in known.items() if USUAL_OUTPUTS & {*model.output_modalities}]
    shown = ", ".join(listed[:SHOWN_MODELS])
    more = ", …" if len(listed) > SHOWN_MODELS else ""
    others = len(known) - len(listed)
    return f"{len(listed)}: {shown}{more}" + (f"; {others} of other kinds" if others else "")


def check_server(_config: Settings) -> str:
    """Check that the API at WAYBILL_URL answers, is ready and accepts our key."""
    target = configured()
    try:
        with httpx.Client(timeout=10, trust_env=not target.is_local) as http:
            health = http.get(f"{target.url}/health/ready")
            allowed = http.get(f"{target.api}/jobs", params={"limit": 1}, headers=target.headers)
    except httpx.TransportError as error:
        raise CheckFailed(str(unreachable_error(target, error))) from None
    report = health.json().get("checks", {}) if "json" in health.headers["content-type"] else {}
    wrong = [
        f"{name}: {_describe_failure(check)}" for name, check in report.items() if not check["ok"]
    ]
    if wrong or not report:
        raise CheckFailed(f"{target.url} cannot serve ({'; '.join(wrong) or message(health)})")
    if allowed.status_code == httpx.codes.UNAUTHORIZED:
        raise CheckFailed(
            f"{target.url} is ready, but: {describe_key_refusal(target, message(allowed))}"
        )
    return f"{target.url} is ready: {', '.join(report)}"


def _describe_failure(check: Mapping[str, object]) -> object:
    return check.get("error") or "none"


def _has_append_only_file(connection: Redis) -> bool:
    """Return True where the append-only file is on, or the server does not report it."""
    try:
        return bool(connection.info("persistence").get("aof_enabled"))
    except ResponseError:
        return True


def _describe_redis_error(config: Settings, error: Exception) -> str:
    if config.redis_url:
        return f"does not answer ({error}): check WAYBILL_REDIS_URL"
    return f"no Valkey at {config.valkey_socket}: `waybill up` starts it"


Check = Callable[[Settings], str]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("data directory", check_data_directory),
    ("database", database.check_database),
    ("redis", check_redis),
    ("transport", check_transport),
    ("providers", check_providers),
    ("credentials", check_credentials),
    ("wires", check_wires),
    ("models", check_models),
    ("server", check_server),
)


def doctor() -> None:
    """Check this machine's configuration and services; exit with 1 when something is wrong."""
    is_complete = True
    for name, is_well, finding in _run_checks():
        mark = typer.style("ok   ", fg="green") if is_well else typer.style("WRONG", fg="red")
        typer.echo(f"{mark} {name:<15} {redact(finding)}")
        is_complete = is_complete and is_well
    raise typer.Exit(0 if is_complete else 1)


def _run_checks() -> Iterator[tuple[str, bool, str]]:
    """Yield the name of each check, whether it passed, and one line."""
    yield _run_check("python", check_python)
    try:
        config = load_configuration()
    except SystemExit as error:
        yield "configuration", False, _one_line(str(error))
        return
    yield "configuration", True, _check_configuration(config)
    for name, check in CHECKS:
        yield _run_check(name, check, config)


def _check_configuration(config: Settings) -> str:
    found = describe_configuration(os.environ)
    return f"of the `waybill up` that runs here: {found}" if is_up_here(config) else found


def _run_check(name: str, check: Callable[..., str], *arguments: Settings) -> tuple[str, bool, str]:
    try:
        return name, True, _one_line(check(*arguments))
    except CheckFailed as error:
        return name, False, _one_line(str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever is wrong is the finding
        return name, False, _one_line(str(error) or type(error).__name__)


def _one_line(text: str) -> str:
    return " ".join(text.removeprefix("waybill: ").split())
