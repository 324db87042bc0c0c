"""`waybill doctor`: what is wrong with this installation, and what is to be done about it."""

import os
from collections.abc import Callable, Iterator

import typer

from broker.redaction import redact
from broker.settings import Settings
from cli import database
from cli.commands import doctor as checkups
from cli.configuration import in_force, runs_here
from cli.database import CheckFailed

Check = Callable[[Settings], str]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("data directory", checkups.data_dir),
    ("database", database.check_database),
    ("redis", checkups.redis),
    ("transport", checkups.transport),
    ("providers", checkups.providers),
    ("credentials", checkups.credentials),
    ("wires", checkups.wires),
    ("models", checkups.models),
    ("server", checkups.server),
)


def doctor() -> None:
    """Check this machine's configuration and services; exit code 1 when something is wrong."""
    fine = True
    for name, is_well, finding in _findings():
        mark = typer.style("ok   ", fg="green") if is_well else typer.style("WRONG", fg="red")
        typer.echo(f"{mark} {name:<15} {redact(finding)}")
        fine = fine and is_well
    raise typer.Exit(0 if fine else 1)


def _findings() -> Iterator[tuple[str, bool, str]]:
    """Yield (what, whether it is well, one line about it)."""
    yield _examined("python", checkups.python)
    try:
        config = in_force()
    except SystemExit as error:
        yield "configuration", False, _one_line(str(error))
        return
    yield "configuration", True, _configuration(config)
    for name, check in CHECKS:
        yield _examined(name, check, config)


def _configuration(config: Settings) -> str:
    found = checkups.configuration(os.environ)
    return f"of the `waybill up` that runs here: {found}" if runs_here(config) else found


def _examined(name: str, check: Callable[..., str], *given: Settings) -> tuple[str, bool, str]:
    try:
        return name, True, _one_line(check(*given))
    except CheckFailed as error:
        return name, False, _one_line(str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever is wrong is the finding
        return name, False, _one_line(str(error) or type(error).__name__)


def _one_line(text: str) -> str:
    return " ".join(text.removeprefix("waybill: ").split())
