"""The environment: the variables that Waybill reads, and `.env`.

Neither the working directory nor other programs' variables affect Waybill's processes.
"""

import os
import re
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path

ENV_FILE = "WAYBILL_ENV_FILE"
"""The variable that names another file than `.env`. If it is empty, no file is read."""

PREFIXES = ("WAYBILL_", "FLOWER_", "AWS_")
REFERENCE = re.compile(r"\benv:(\w+)")  # in waybill.toml


def take_env_file(environ: MutableMapping[str, str] = os.environ) -> str | None:
    """Add the variables of the `.env` file that the environment does not have.

    Return a sentence about it, or None without such a file. Raises SystemExit where the file that
    `WAYBILL_ENV_FILE` names cannot be read.
    """
    path = _env_file(environ)
    if path is None:
        return None
    from dotenv import dotenv_values  # noqa: PLC0415  # few commands find such a file

    try:
        found = {name: value for name, value in dotenv_values(path).items() if value}
    except (OSError, ValueError) as error:
        raise SystemExit(f"waybill: {path} cannot be read: {error}") from None
    ours = own_variables({**found, **environ}) & found.keys()
    kept = sorted(name for name in ours if name in environ and environ[name] != found[name])
    taken = sorted(name for name in ours if name not in environ)
    environ.update({name: found[name] for name in taken})
    return _sentence(path, taken, kept)


def own_variables(environ: Mapping[str, str]) -> set[str]:
    """Return the names of the variables that Waybill reads: settings, and vendors' variables."""
    from broker.providers.vendors import vendors  # noqa: PLC0415  # takes a while

    known = {name for vendor in vendors().values() for name in vendor.variables}
    known.update(_named_in_configuration(Path(environ.get("WAYBILL_CONFIG", "waybill.toml"))))
    return {name for name in environ if name in known or name.startswith(PREFIXES)}


def _env_file(environ: Mapping[str, str]) -> Path | None:
    named = environ.get(ENV_FILE)
    if named is None:
        path = Path(".env")
        return path if path.is_file() else None  # it can be the directory of a virtual environment
    if named and not Path(named).is_file():
        raise SystemExit(f"waybill: {ENV_FILE} names {named}, which is not a file")
    return Path(named) if named else None


def _named_in_configuration(path: Path) -> Iterable[str]:
    try:
        return REFERENCE.findall(path.read_text())
    except (OSError, ValueError):
        return ()  # loading the configuration reports the error


def _sentence(path: Path, taken: list[str], kept: list[str]) -> str:
    text = f"read {path}: {', '.join(taken) or 'nothing that Waybill reads is new in it'}"
    return f"{text} (the environment has its own {', '.join(kept)})" if kept else text


FOREIGN_VARIABLES = frozenset(
    {
        *("APP", "BROKER_URL", "CONFIG_MODULE", "LOADER", "RESULT_BACKEND", "SKIP_CHECKS"),
        "DJANGO_SETTINGS_MODULE",  # Celery would load that project
        "WEB_CONCURRENCY",  # uvicorn would want several processes
    }
)
"""Variables that Celery's command line, its Django support and uvicorn read."""

FOREIGN_PREFIX = "CELERY_"


def isolate() -> None:
    """Change the environment of this process, and so of those that it starts."""
    for name in [*os.environ]:
        if name in FOREIGN_VARIABLES or name.startswith(FOREIGN_PREFIX):
            del os.environ[name]
    os.environ["PYTHONSAFEPATH"] = "1"  # Python puts the working directory on no path
