"""PostgreSQL, RabbitMQ or Redis, several processes of each kind: as docker-compose.yml has it."""

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest
from celery import Celery
from kombu import Connection, Exchange, Queue

from tests import stacks
from tests.benchmarks.load import load
from tests.installation import (
    KEY,
    REPOSITORY,
    START_SECONDS,
    chat,
    clean_environment,
    free_ports,
    until,
)
from workers.simulator.background import running

TRANSPORTS = ("amqp", "redis")

pytestmark = [pytest.mark.service, stacks.own_stack]


class Fleet:
    """Two APIs, two workers and a dispatcher, started one by one as compose starts them."""

    def __init__(
        self, database: str, redis: str, transport: str, simulator_port: int, directory: Path
    ) -> None:
        self.directory = directory
        self.ports = free_ports(2)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        config = directory / "waybill.toml"
        config.write_text(
            f'[[providers]]\nslug = "sim"\nbase_url = "http://127.0.0.1:{simulator_port}/v1"\n'
            + "".join(
                f'[[models]]\nslug = "sim/{name}"\n'
                f'endpoints = [{{ provider = "sim", model = "{name}", prompt = "1" }}]\n'
                for name in ("sim", "sim-lat1000", "sim-lat8000", "sim-tok100")
            )
        )
        self.environment = clean_environment() | {
            "WAYBILL_CONFIG": str(config),
            "WAYBILL_DATA_DIR": str(directory),
            "WAYBILL_DATABASE_URL": database,
            "WAYBILL_REDIS_URL": redis,
            "WAYBILL_BROKER_URL": transport,
            "WAYBILL_BOOTSTRAP_KEY": KEY,
        }

    def start(self) -> None:
        subprocess.run(self._command("migrate"), env=self.environment, cwd=REPOSITORY, check=True)
        for number, port in enumerate(self.ports, start=1):
            self.launch(f"api-{number}", "api", f"--port={port}")
            self.launch(f"worker-{number}", "worker", WAYBILL_DISPATCH="false")
        self.launch("dispatcher", "dispatcher")
        until(self._is_ready, START_SECONDS, self.log)

    def launch(self, name: str, *arguments: str, **settings: str) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self._command(*arguments),
                env=self.environment | settings,
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                raise

    def url(self, number: int) -> str:
        return f"http://127.0.0.1:{self.ports[number]}"

    def log(self) -> str:
        return "\n".join(path.read_text()[-6000:] for path in self.directory.glob("*.log"))

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cli", *arguments]

    def _is_ready(self) -> bool:
        try:
            answers = [httpx.get(f"{self.url(number)}/health/ready") for number in (0, 1)]
        except httpx.HTTPError:
            return False
        return all(
            answer.status_code == 200 and answer.json()["checks"]["workers"]["count"] >= 2
            for answer in answers
        )


@pytest.fixture(scope="module", params=TRANSPORTS)
def fleet(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    stacks.require_servers()
    transport = stacks.virtual_host if request.param == "amqp" else stacks.redis_database
    with (
        tempfile.TemporaryDirectory(prefix="wb", dir="/tmp") as directory,
        stacks.database() as database,
        stacks.redis_database() as redis_url,
        transport() as messages,
        running() as simulator,
    ):
        fleet = Fleet(database, redis_url, messages, simulator.port, Path(directory))
        try:
            fleet.start()
            yield fleet
        finally:
            fleet.stop()


def one(fleet: Fleet, query: str) -> int:
    with psycopg.connect(fleet.environment["WAYBILL_DATABASE_URL"]) as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])


def management_key(fleet: Fleet) -> str:
    words = ("keys", "create", "operator", "--management", "--everywhere")
    command = [sys.executable, "-m", "cli", *words]
    made = subprocess.run(
        command, env=fleet.environment, cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return next(word for word in made.stdout.split() if word.startswith("sk-wb-"))


def test_every_call_of_a_crowd_is_answered_by_either_api(fleet: Fleet) -> None:
    urls = [f"{fleet.url(number)}/api/v1/chat/completions" for number in (0, 1)]

    async def crowd() -> list[int]:
        loads = [load(url, KEY, chat("sim"), callers=40, calls=300) for url in urls]
        return [result.failures for result in await asyncio.gather(*loads)]

    assert asyncio.run(crowd()) == [0, 0], fleet.log()


def test_streams_are_whole(fleet: Fleet) -> None:
    body = chat("sim-tok100", stream=True)
    url = f"{fleet.url(1)}/v1/chat/completions"
    result = asyncio.run(load(url, KEY, body, callers=10, calls=40))
    assert result.failures == 0, fleet.log()


def test_one_idempotency_key_is_one_job_through_both_apis(fleet: Fleet) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": uuid.uuid4().hex}

    def ask(number: int) -> str:
        url = f"{fleet.url(number % 2)}/api/v1/chat/completions"
        answer = httpx.post(url, json=chat("sim-lat1000"), headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.headers["x-job-id"]

    with ThreadPoolExecutor(20) as pool:
        assert len(set(pool.map(ask, range(20)))) == 1


def test_a_revoked_key_opens_neither_api_a_second_later(fleet: Fleet) -> None:
    # Given a key in constant use at both
    managing = {"Authorization": f"Bearer {management_key(fleet)}"}
    keys = f"{fleet.url(0)}/api/v1/keys"
    made = httpx.post(keys, json={"name": "leaked"}, headers=managing).json()
    headers = {"Authorization": f"Bearer {made['key']}"}

    def opens(number: int) -> bool:
        return httpx.get(f"{fleet.url(number)}/api/v1/key", headers=headers).status_code == 200

    assert opens(0)
    assert opens(1)
    # When it is revoked at one
    assert httpx.delete(f"{keys}/{made['data']['hash']}", headers=managing).status_code == 200
    revoked = time.monotonic()
    while time.monotonic() < revoked + 1:
        opens(0), opens(1)
    # Then what is asked a second later is refused by both
    assert not opens(0)
    assert not opens(1)


def rabbitmq_queues(fleet: Fleet) -> dict[str, dict[str, str]]:
    """Return each queue's type, and how many messages its consumers hold."""
    vhost = fleet.environment["WAYBILL_BROKER_URL"].rpartition("/")[2]
    columns = ("name", "type", "messages_unacknowledged")
    command = ["rabbitmqctl", "--quiet", "--formatter=json", "list_queues", "-p", vhost, *columns]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    return {queue["name"]: queue for queue in json.loads(listed.stdout)}


def test_rabbitmq_has_quorum_queues_and_none_for_delays(fleet: Fleet) -> None:
    if not fleet.environment["WAYBILL_BROKER_URL"].startswith("amqp"):
        pytest.skip("is about RabbitMQ")
    queues = rabbitmq_queues(fleet)
    work = {"sim.interactive", "sim.batch", "waybill.deliveries"}
    assert {queues[name]["type"] for name in work} == {"quorum"}
    assert not [name for name in queues if name.startswith("celery_delayed")]


def test_a_classic_queue_of_an_earlier_version_is_replaced(fleet: Fleet) -> None:
    if not fleet.environment["WAYBILL_BROKER_URL"].startswith("amqp"):
        pytest.skip("is about RabbitMQ")
    with (
        stacks.virtual_host() as transport,
        tempfile.TemporaryDirectory(prefix="wb", dir="/tmp") as directory,
    ):
        with Connection(transport) as connection, connection.channel() as channel:
            Queue("sim.interactive", Exchange("sim.interactive")).bind(channel).declare()
        older = Fleet.__new__(Fleet)
        older.directory, older.processes = Path(directory), {}
        older.environment = fleet.environment | {"WAYBILL_BROKER_URL": transport}
        older.launch("worker-3", "worker", WAYBILL_DISPATCH="false")
        try:
            until(
                lambda: rabbitmq_queues(older).get("sim.interactive", {}).get("type") == "quorum",
                90,  # the worker starts first
                older.log,
            )
        finally:
            older.stop()


def test_a_cancelled_queue_stays_cancelled_until_it_is_added(fleet: Fleet) -> None:
    app = Celery(broker=fleet.environment["WAYBILL_BROKER_URL"])

    def consumed() -> bool:
        answers = app.control.inspect(timeout=2).active_queues() or {}
        assert answers, fleet.log()
        return any(queue["name"] == "sim.batch" for each in answers.values() for queue in each)

    until(consumed, 20, fleet.log)
    app.control.cancel_consumer("sim.batch", reply=True, timeout=2)
    until(lambda: not consumed(), 20, fleet.log)
    # Several turns of the consumers' loops later it is still so
    assert not any(consumed() for _ in range(3))
    app.control.add_consumer("sim.batch", reply=True, timeout=2)
    until(consumed, 20, fleet.log)
    app.close()


def test_a_killed_workers_jobs_are_done_by_the_other(fleet: Fleet) -> None:
    # Given jobs in flight at two workers
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=f"{fleet.url(0)}/api/v1", headers=headers) as http:
        for _ in range(40):
            assert http.post("/jobs", json={"body": chat("sim-lat8000")}).status_code == 202
    running_jobs = "SELECT count(*) FROM jobs WHERE state = 'running'"
    until(lambda: one(fleet, running_jobs) >= 20, 30, fleet.log)
    # When one is killed, and its leases are over
    victim = fleet.processes.pop("worker-1")
    victim.kill()
    victim.wait()
    with psycopg.connect(fleet.environment["WAYBILL_DATABASE_URL"]) as connection:
        connection.execute("UPDATE jobs SET lease_expires_at = 1 WHERE state = 'running'")
    # Then every job ends, settled once
    unfinished = "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running', 'scheduled')"
    until(lambda: one(fleet, unfinished) == 0, 60, fleet.log)
    assert one(fleet, "SELECT count(*) FROM jobs WHERE state <> 'completed'") == 0
    settled = "SELECT count(*) FROM ledger_entries WHERE kind = 'settle'"
    assert one(fleet, settled) == one(fleet, "SELECT count(*) FROM jobs")
    costs = one(fleet, "SELECT sum(cost_nanos) FROM generations")
    assert one(fleet, "SELECT sum(amount_nanos) FROM ledger_entries") == -costs
