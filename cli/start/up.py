"""`waybill up`: everything on this machine in one foreground command."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from redis.asyncio import Redis
from redis.exceptions import RedisError

from broker import settings
from broker.background import end_tasks
from broker.ids import new_id
from broker.queues import Lane
from broker.security.redaction import redact
from broker.settings import Settings
from cli import configuration, data_directory
from cli.client.server import key_file, url_file
from cli.configuration import sharing_environment
from cli.messages import print_message
from cli.start import parts, preparation, processes
from cli.start.demonstration import EXAMPLES, demo_file, demo_models, write_configuration
from cli.start.flower_login import is_loopback
from cli.start.processes import Child, ChildDiedError, Launch, part, program
from cli.start.valkey import valkey_command

START_SECONDS = 15.0
LOOPBACK = "127.0.0.0/8,::1/128"


def up(
    host: Annotated[str | None, typer.Option(help="Address of the API and Flower.")] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", min=0, max=65535, help="Port of the API.")
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Worker processes.")] = 1,
    batch_workers: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="Worker processes for batches only; 0: the other workers run them.",
        ),
    ] = 1,
    flower: Annotated[bool, typer.Option(help="Start Flower.")] = True,
    flower_port: Annotated[
        int | None, typer.Option(metavar="PORT", min=0, max=65535, help="Port of Flower.")
    ] = None,
    demo: Annotated[bool, typer.Option(help="Start a simulated provider.")] = False,
    simulator_port: Annotated[
        int,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            envvar="WAYBILL_SIMULATOR_PORT",
            help="Port of the simulated provider.",
        ),
    ] = parts.SIMULATOR_PORT,
) -> None:
    """Start Valkey, the API, workers and Flower on this machine; stop them with Ctrl-C."""
    config = settings.load()
    with _data_dir(config.data_dir):
        demo_file(config.data_dir).unlink(missing_ok=True)
        if demo:
            parts.require_simulator()
            config = demo_configuration(config, simulator_port)
        flower_port = config.flower_port if flower_port is None else flower_port
        host, port = host or config.host, config.port if port is None else port
        ports = {"the API (--port)": port}
        if flower:
            ports["Flower (--flower-port, --no-flower)"] = flower_port
            if is_loopback(host):  # elsewhere people reach it by an address that only you know
                flower_url = configuration.address(host, flower_port)
                os.environ.setdefault("WAYBILL_FLOWER_URL", flower_url)
        if demo:
            ports["the simulator (--simulator-port)"] = simulator_port
            if not config.allowed_networks:  # the children's environment is ours
                os.environ.setdefault("WAYBILL_ALLOWED_NETWORKS", LOOPBACK)
        _check_ports(host, ports)
        config = configuration.linking_to(config, configuration.address(host, port))
        os.environ["WAYBILL_PUBLIC_URL"] = config.public_url  # workers make links, too
        supervisor = Supervisor(config, host, port)
        supervisor.plan_api()
        supervisor.plan_workers(workers, batch_workers)
        supervisor.plan_services(
            flower=flower_port if flower else None, simulator=simulator_port if demo else None
        )
        sys.exit(asyncio.run(supervisor.run()))


def demo_configuration(config: Settings, simulator_port: int) -> Settings:
    """Return the demo's configuration, or the present one where there is a waybill.toml."""
    if settings.config_path().is_file():
        if missing := sorted(demo_models() - {row.slug for row in config.models}):
            print_message(
                f"{settings.config_path()} is used as it is, so --demo adds no models to it "
                f"({', '.join(missing)}): to have them, set "
                f"WAYBILL_CONFIG={EXAMPLES / 'waybill.toml'}"
            )
        return config
    path = demo_file(config.data_dir)
    write_configuration(path, simulator_port)
    os.environ["WAYBILL_CONFIG"] = str(path)  # the children's environment is ours
    return settings.load()


class Supervisor:
    """The processes of one machine."""

    def __init__(self, config: Settings, host: str, port: int) -> None:
        self._config = config
        self._host = host
        self._port = port
        self._url = configuration.address(host, port)
        self._children: list[Child] = []
        self._valkey: Child | None = None
        self._stopping = False
        self._urls: dict[str, str] = {}

    def plan_api(self) -> None:
        """Add the API. Children start in the order in which they are added."""
        api = self._add("api", part("api", parts.api, host=self._host, port=self._port))
        api.dies_when_hurried = True
        api.stop_seconds = self._config.stream_drain_seconds + 5
        self._urls = {"API": f"{self._url}/api/v1", "Docs": f"{self._url}/docs"}

    def plan_workers(self, workers: int, batch_workers: int) -> None:
        """Add the workers. Batches get their own, so that callers do not wait for them."""
        for number in range(1, workers + 1):
            own = {"WAYBILL_WORKER_LANE": Lane.INTERACTIVE.value, "WAYBILL_DISPATCH": "false"}
            self._add_worker(f"worker-{number}", own if batch_workers else {})
        for number in range(1, batch_workers + 1):
            self._add_worker(f"batch-worker-{number}", {"WAYBILL_WORKER_LANE": Lane.BATCH.value})

    def plan_services(self, *, flower: int | None, simulator: int | None) -> None:
        """Add Valkey, and Flower and the simulator on these ports."""
        if not self._config.redis_url:
            self._valkey = self._child("valkey", program(valkey_command(self._config)))
        if flower is not None:
            self._add("flower", part("flower", parts.flower, host=self._host, port=flower))
            self._urls["Flower"] = configuration.address(self._host, flower)
        if simulator is not None:
            simulating = part("simulator", parts.simulate, host="127.0.0.1", port=simulator)
            self._add("simulator", simulating)
            self._urls["Simulator"] = f"http://127.0.0.1:{simulator}/v1"

    def _add_worker(self, name: str, settings: dict[str, str]) -> None:
        child = self._add(name, part(name, parts.worker, name=f"{name}@%h"))
        # each start of a worker gets a new id, so that it never takes over leases
        child.environment = lambda: {**settings, "WAYBILL_WORKER_ID": new_id("worker_")}
        longest = max(self._config.soft_shutdown_seconds, self._config.stream_drain_seconds)
        child.stop_seconds = longest + 10

    def _add(self, name: str, launch: Launch) -> Child:
        child = self._child(name, launch)
        self._children.append(child)
        return child

    def _child(self, name: str, launch: Launch) -> Child:
        return Child(name, launch, self._config.data_dir / f"{name}.pid")

    async def run(self) -> int:
        """Start everything, keep it alive, stop it on a signal; return the exit status."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal, stop)
        try:
            async with sharing_environment(self._config.data_dir):
                await self._start()
                return await self._watch(stop)
        except ChildDiedError as error:
            print_message(redact(str(error)))
            return 1
        finally:
            await self._stop()
            url_file(self._config.data_dir).unlink(missing_ok=True)

    async def _start(self) -> None:
        serves = await processes.call_in_fork(preparation.check, self._config)
        if self._valkey is not None:
            await self._valkey.start()
            await self._await_valkey()
        welcome = await processes.call_in_fork(preparation.prepare, self._config)
        for child in self._children:
            await child.start()
        url_file(self._config.data_dir).write_text(self._url)
        self._welcome(welcome, serves=serves)

    async def _await_valkey(self) -> None:
        assert self._valkey is not None
        redis = Redis.from_url(self._config.redis)
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await _answers(redis):
                    if self._valkey.process is not None and self._valkey.process.returncode:
                        raise ChildDiedError("valkey did not start; see its message above")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise ChildDiedError(f"valkey did not answer within {START_SECONDS:g} s") from None
        finally:
            await redis.aclose()

    def _welcome(self, welcome: preparation.Welcome, *, serves: bool) -> None:
        for name, url in self._urls.items():
            print_message(f"{name:<10} {url}")
        if not serves:
            print_message(
                "no provider yet: set e.g. OPENAI_API_KEY, or write waybill.toml (see README)"
            )
        if welcome.api_key is not None:
            path = key_file(self._config.data_dir)
            path.touch(mode=0o600)
            path.write_text(welcome.api_key)
            print_message(f"API key    {welcome.api_key}")
            print_message(f"           shown this once; `waybill` commands here find it in {path}")
        if welcome.first_user is not None:
            print_message(f"First user {welcome.first_user}")
            print_message(
                "           works once, within a day: opens the account that administers this"
            )

    async def _watch(self, stop: asyncio.Event) -> int:
        children = [*self._children, *([self._valkey] if self._valkey else [])]
        watching = {asyncio.create_task(child.watch(self._on_death)) for child in children}
        stopping = asyncio.create_task(stop.wait())
        ended, _ = await asyncio.wait({stopping, *watching}, return_when=asyncio.FIRST_COMPLETED)
        await end_tasks({stopping, *watching} - ended)
        for task in ended:
            task.result()  # raises the ChildDiedError of a child
        print_message(
            "stopping: open streams may continue for "
            f"{self._config.stream_drain_seconds:g} s; press Ctrl-C again to stop at once"
        )
        return 0

    async def _on_death(self, child: Child) -> None:
        """End the leases of a dead worker, so that its jobs start again at once."""
        worker_id = child.started.get("WAYBILL_WORKER_ID")
        if worker_id is None:
            return
        try:
            jobs = await processes.call_in_fork(preparation.release_jobs, self._config, worker_id)
        except Exception as error:  # noqa: BLE001  # e.g. a full disk: the supervisor continues
            reason = str(error).partition("\n")[0]
            print_message(
                redact(f"the jobs of {child.name} wait until their leases end ({reason})")
            )
            return
        print_message(f"{jobs} running jobs of {child.name} were returned to their queues")

    def _on_signal(self, stop: asyncio.Event) -> None:
        """Stop; the second time, without waiting for open calls."""
        if not stop.is_set():
            stop.set()
            return
        print_message("stopping at once")
        for child in self._children:
            if self._stopping:
                child.hurry()
            else:
                child.hurried = True

    async def _stop(self) -> None:
        """Stop the API first (no new jobs), Valkey last."""
        self._stopping = True
        for child in self._children:
            if child.name == "api":
                await child.stop()
        await asyncio.gather(*(child.stop() for child in self._children))
        if self._valkey is not None:
            await self._valkey.stop()


async def _answers(redis: Redis) -> bool:
    try:
        return bool(await redis.ping())
    except (RedisError, OSError):
        return False


def _check_ports(host: str, ports: dict[str, int]) -> None:
    """Raise SystemExit where a port is taken."""
    for purpose, port in ports.items():
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise SystemExit(
                    f"waybill: {host}:{port}, of {purpose}, cannot be used: {error.strerror}"
                ) from None


@contextlib.contextmanager
def _data_dir(path: Path) -> Iterator[None]:
    """Lock the data directory for this process. Raises SystemExit on failure."""
    import fcntl  # noqa: PLC0415  # not on Windows, where Valkey is not either

    data_directory.make(path)
    try:
        lock = (path / "lock").open("w")
    except OSError as error:
        raise data_directory.unwritable(path, error) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SystemExit(
                f"waybill: another `waybill up` is using the data directory {path}"
            ) from None
        yield
