"""A directory of another project, whose files and variables have names that Waybill uses too."""

from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("api", "broker", "cli", "workers", "tests", "examples")
MODULES = ("cli", "celery", "redis", "flower", "flowerconfig", "queue", "signal", "sitecustomize")
VARIABLES = {
    "APP": "shop.celery",
    "BROKER_URL": "redis://elsewhere:6379/0",
    "CELERY_BROKER_READ_URL": "redis://elsewhere:6379/0",
    "CELERY_BROKER_URL": "redis://elsewhere:6379/0",
    "CELERY_BROKER_WRITE_URL": "redis://elsewhere:6379/0",
    "CELERY_CONFIG_MODULE": "celeryconfig",
    "CELERY_CUSTOM_WORKER_POOL": "shop.pool:Pool",
    "CELERY_LOADER": "shop.loader:Loader",
    "CONFIG_MODULE": "celeryconfig",
    "DJANGO_SETTINGS_MODULE": "shop.settings",
    "LOADER": "shop.loader:Loader",
    "RESULT_BACKEND": "redis://elsewhere:6379/0",
    "WEB_CONCURRENCY": "4",
}
"""Variables of such a project."""


ENV_FILE = """
PYTHONPATH=.
DJANGO_SETTINGS_MODULE=shop.settings
CELERY_BROKER_URL=redis://elsewhere:6379/0
"""


@dataclass(frozen=True)
class Decoys:
    """The directory; each of its modules writes its path to `trace` when it is run."""

    directory: Path
    trace: Path

    def executed(self) -> str:
        return self.trace.read_text() if self.trace.exists() else ""


def make_decoys(directory: Path, trace: Path) -> Decoys:
    """Fill a directory; `trace` is a file outside it."""
    code = f"open({str(trace)!r}, 'a').write(__file__ + '\\n')\nraise SystemExit(9)\n"
    for name in MODULES:
        (directory / f"{name}.py").write_text(code)
    for name in PACKAGES:
        (directory / name).mkdir()
        (directory / name / "__init__.py").write_text(code)
    (directory / ".env").write_text(ENV_FILE)
    return Decoys(directory, trace)
