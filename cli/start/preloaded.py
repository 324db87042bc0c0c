"""Import in the fork server, before it forks, what the parts need; nothing that runs."""

import gc
import os
from importlib import import_module

import setproctitle

from cli.start.processes import stop_with_parent

MODULES = (
    "api.app",
    "broker.migrations",
    "celery.apps.worker",
    "celery.concurrency.thread",
    "cli.start.parts",
    "cli.start.up",
    "kombu.transport.redis",
    "uvicorn",
    "workers.runtime.job_loop",
)

os.setsid()  # Ctrl-C reaches `up` only
stop_with_parent()
setproctitle.getproctitle()  # it must run before the environment changes
os.environ["NOSETPS"] = "1"  # Celery would list its worker by a title of its own
gc.disable()  # there is no garbage yet
for module in MODULES:
    import_module(module)
gc.freeze()  # forks share the memory of frozen objects
gc.enable()
