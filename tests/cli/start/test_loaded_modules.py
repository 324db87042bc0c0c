"""Parts load packages that only some features use when they use them: starts stay quick."""

import subprocess
import sys

import pytest

from tests.installation import REPOSITORY, clean_environment

CELERY = "celery.apps.worker, celery.concurrency.thread, "
PARTS = {
    "--help": "cli.main",
    "up": "cli.main, cli.start.up, cli.start.processes",
    "api": "cli.main, cli.start.parts, uvicorn, api.app, api.core.connection_limits, cli.database",
    "worker": f"cli.main, cli.start.parts, {CELERY} workers.runtime.app",
    "dispatcher": "cli.main, cli.start.parts, workers.runtime.dispatcher_main, cli.database",
    "fork server": "cli.start.preloaded",
}
"""The modules that each part imports as it starts (`cli/start/parts.py`)."""

FEATURES = {
    *("alembic", "authlib", "botocore", "fsspec", "jinja2", "joserfc", "json_repair", "jsonschema"),
    *("cv2", "numpy", "onnxruntime", "rapidocr"),
    *(
        "openpyxl",
        "pandas",
        "PIL",
        "prometheus_client",
        "pyarrow",
        "pypdfium2",
        "referencing",
        "s3fs",
    ),
    *("stripe", "workers.simulator"),
}
SERVERS = {"aiohttp", "celery", "fastapi", "flower", "redis", "sqlalchemy"}
WEB = {"fastapi", "starlette"}
NEEDLESS = {
    "--help": FEATURES | SERVERS | {"httpx", "pydantic", "structlog"},
    "up": FEATURES | (SERVERS - {"redis", "sqlalchemy"}),
    "api": FEATURES | {"aiohttp", "flower"},
    "worker": FEATURES | WEB | {"flower"},
    "dispatcher": FEATURES | {"flower"},
    "fork server": (FEATURES | {"flower"}) - {"alembic"},  # migrations run here
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_starts_without_what_only_features_use(part):
    program = f"import {PARTS[part]}, sys; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    found = subprocess.run(
        command, cwd=REPOSITORY, env=clean_environment(), check=True, capture_output=True, text=True
    )
    loaded = set(found.stdout.split())
    assert len(loaded) > 50
    assert loaded & NEEDLESS[part] == set()
