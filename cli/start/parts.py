"""The parts of Waybill, each as one process in the foreground."""

import asyncio
import contextlib
import gc
import math
import os
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from broker import settings
from broker.settings import Settings
from cli import data_directory
from cli.configuration import address, linking_to

SIMULATOR_PORT = 9100
WORKER_SECONDS = 15.0  # that Flower waits for a worker
PING_SECONDS = 0.5
TASKS_COLUMNS = "name,uuid,state,result,exception,received,runtime,worker"
INSPECT_MS = 5_000  # Flower inspects workers once, and a starting worker answers late
SWITCH_SECONDS = 0.002
"""The time for which a thread may keep the interpreter: the loop that answers callers
shares it with threads that write and publish. Python's 5 ms delays every answer; much less costs
more in switching than it saves (measured at 0.1, 0.5, 2 and 5 ms)."""
GARBAGE_THRESHOLDS = (10_000, 20, 20)
"""When Python collects reference cycles. Its default is after 700 new objects, which a few requests
make. Those collections took a tenth of the CPU time and found nothing."""


@contextlib.contextmanager
def _loading() -> Iterator[None]:
    """Import a part's modules without a search for garbage: they leave none, and it takes a fifth.

    Then configure the interpreter for many short requests.
    """
    gc.disable()
    yield
    gc.freeze()  # imported objects are never garbage
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    gc.enable()
    sys.setswitchinterval(SWITCH_SECONDS)


def api(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", min=0, max=65535, help="Port to listen on.")
    ] = None,
) -> None:
    """Serve the HTTP API."""
    with _loading():
        import uvicorn

        from api.app import create_app
        from api.core.connection_limits import PromptProtocol
        from broker.logs import configure_logging

    configure_logging()
    config = settings.load()
    _refuse_without_tables(config)
    host, port = host or config.host, config.port if port is None else port
    if config.data_dir.exists():
        data_directory.close(config.data_dir)
    uvicorn.run(
        create_app(linking_to(config, address(host, port))),
        host=host,
        port=port,
        loop="uvloop",
        http=PromptProtocol,
        proxy_headers=False,  # TrustedProxies reads them, from declared proxies
        access_log=False,
        log_level="warning",
        backlog=4096,
        timeout_graceful_shutdown=math.ceil(config.stream_drain_seconds),
    )


def _refuse_without_tables(config: Settings) -> None:
    from cli import database as local

    try:
        local.read_revision(config)
    except local.CheckFailed as error:
        raise SystemExit(f"waybill: {error}") from None


def worker(
    name: Annotated[str, typer.Option(help="Celery node name; must differ on one host.")] = "",
) -> None:
    """Take jobs from the queues, call providers and send webhooks."""
    with _loading():
        from broker.providers import configuration
        from broker.queues import DELIVERIES_QUEUE, queue_names
        from workers.runtime.app import config, run_worker

    jobs = queue_names(configuration.load_providers(config), config.worker_lane)
    sys.exit(run_worker(name or f"waybill-{os.getpid()}@%h", [*jobs, DELIVERIES_QUEUE]))


def dispatcher() -> None:
    """Publish due jobs and recover lost ones, without running jobs."""
    with _loading():
        from broker.logs import configure_logging
        from workers.runtime.dispatcher_main import run_dispatcher

    configure_logging()
    config = settings.load()
    _refuse_without_tables(config)
    asyncio.run(run_dispatcher(config))


def flower(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", "--flower-port", metavar="PORT", min=0, max=65535, help="Port to listen on."
        ),
    ] = None,
) -> None:
    """Serve Flower, the page that shows workers, tasks and queues."""
    with _loading():
        from cli.messages import print_message
        from cli.start.flower_login import flower_login
        from workers.runtime.app import app, config
        from workers.runtime.flower_queues import show_waiting_jobs

    _await_worker(app)
    show_waiting_jobs(config)
    host = host or config.host
    login = flower_login(config, host)
    if login is not None and login.made_in is not None:
        print_message(f"Flower login {login.text} (user:password)")
        print_message(f"           shown this once; the password is kept in {login.made_in}")
    app.start(
        [
            "flower",
            f"--address={host}",
            *([f"--basic-auth={login.text}"] if login is not None else []),
            f"--port={config.flower_port if port is None else port}",
            "--logging=warning",
            f"--inspect-timeout={INSPECT_MS}",
            f"--tasks-columns={os.environ.get('FLOWER_TASKS_COLUMNS', TASKS_COLUMNS)}",
            f"--conf={os.environ.get('FLOWER_CONF', os.devnull)}",  # no file that lies here
        ]
    )


def _await_worker(app: Any) -> None:
    """Wait shortly for a worker: Flower reads the queues of workers only when it starts."""
    until = time.monotonic() + WORKER_SECONDS
    while time.monotonic() < until:
        try:
            if app.control.ping(timeout=PING_SECONDS):
                return
        except Exception:  # noqa: BLE001  # any error of a transport: Flower shows it itself
            time.sleep(PING_SECONDS)


def migrate() -> None:
    """Migrate the database to the newest version; create an API key on the first start."""
    from broker import accounts
    from broker.migrations import migrate as bring_up_to_date
    from broker.storage.database import Database

    config = settings.load()
    data_directory.make(config.data_dir)
    database = Database(config.database)
    bring_up_to_date(database.engine)
    with database.transaction() as connection:
        key = accounts.ensure_first_start(connection, config.bootstrap_key)
    typer.echo("The database is up to date.")
    if key is not None:
        typer.echo(f"API key, shown this once: {key.key}")


def simulate(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Port to listen on.")
    ] = SIMULATOR_PORT,
) -> None:
    """Serve simulated providers: the model name sets the behaviour, e.g. sim-lat250-tok50."""
    require_simulator()
    from workers.simulator.app import serve

    typer.echo(f"Simulated provider at http://{host}:{port}/v1 (calls: /_calls)")
    serve(host, port)


def require_simulator() -> None:
    """Raise SystemExit where the simulator, an optional part, is not installed."""
    if find_spec("workers.simulator") is None:
        raise SystemExit(
            "waybill: the simulated provider is not installed: "
            "run `pip install 'waybill-broker[simulator]'`"
        )
