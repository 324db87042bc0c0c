"""Keep the working directory and other programs' variables out of Waybill's processes.

Waybill is started in the directories of other projects. Their files and their environment are
theirs: no module of the working directory is imported, and no variable that is meant for another
Celery application, for Django or for another web server changes ours.
"""

import os

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
