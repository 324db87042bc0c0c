"""The two stacks of an installation under test: the embedded one, and that of scale.

`WAYBILL_TEST_STACK=scale` runs the tests on PostgreSQL, RabbitMQ and Redis. Each installation gets
its own database, virtual host and Redis server; each test of a part gets a database.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import SplitResult, urlsplit

import psycopg
import pytest
import redis
import sqlalchemy
from redis.backoff import ConstantBackoff
from redis.retry import Retry

POSTGRES = os.environ.get("WAYBILL_TEST_POSTGRES", "postgresql://root@127.0.0.1:5432/test")
RABBITMQ = os.environ.get("WAYBILL_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672")

AT_SCALE = os.environ.get("WAYBILL_TEST_STACK") == "scale"
embedded_only = pytest.mark.skipif(AT_SCALE, reason="is about what is embedded")
any_stack = pytest.mark.skipif(AT_SCALE, reason="does not depend on the stack")
own_stack = pytest.mark.skipif(AT_SCALE, reason="brings a stack of its own to every run")


NewDatabase: TypeAlias = Callable[[Path], contextlib.AbstractContextManager[str]]
"""Makes a database; gives its URL."""


def require_servers() -> None:
    """Skip the test where PostgreSQL, RabbitMQ or Redis are not there; in CI that is a failure."""
    missing = [url for url in (POSTGRES, RABBITMQ) if not _listens(urlsplit(url))]
    missing += [] if shutil.which("redis-server") else ["redis-server"]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"nothing answers at {', '.join(missing)}")
    if missing:
        pytest.skip(f"nothing answers at {', '.join(missing)}")


def _listens(url: SplitResult) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex((url.hostname or "", url.port or 0)) == 0


@dataclass(frozen=True)
class Stack:
    """The stores of a server: settings for its processes, and queries of its database."""

    database_url: str  # SQLAlchemy's
    settings: Mapping[str, str] = field(default_factory=dict)

    def ask(self, query: str, *arguments: Any) -> list[Any]:
        """Answer a question about the database (`?` stands for an argument), changing nothing."""
        engine = sqlalchemy.create_engine(self.database_url, poolclass=sqlalchemy.NullPool)
        query = query if engine.dialect.name == "sqlite" else query.replace("?", "%s")
        with engine.connect() as connection:
            return list(connection.exec_driver_sql(query, arguments).all())


@contextlib.contextmanager
def stack(data_dir: Path, *, at_scale: bool = AT_SCALE) -> Iterator[Stack]:
    """A stack of its own for one installation."""
    if not at_scale:
        yield Stack(f"sqlite:///{data_dir / 'waybill.db'}")
        return
    with database() as postgres, virtual_host() as transport, redis_database() as redis_url:
        yield Stack(
            sqlalchemy_url(postgres),
            {
                "WAYBILL_DATABASE_URL": postgres,
                "WAYBILL_BROKER_URL": transport,
                "WAYBILL_REDIS_URL": redis_url,
            },
        )


@contextlib.contextmanager
def database(template: str = "template1") -> Iterator[str]:
    """A PostgreSQL database of its own, as the one named `template` is; its URL."""
    name = f"waybill_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(POSTGRES, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        try:
            yield POSTGRES.rsplit("/", 1)[0] + f"/{name}"
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextlib.contextmanager
def copy_of(template: str) -> Iterator[str]:
    """A PostgreSQL database made like the one at this URL, which nobody may be using."""
    with database(template.rpartition("/")[2]) as copy:
        yield sqlalchemy_url(copy)


def sqlalchemy_url(postgres: str) -> str:
    return postgres.replace("postgresql://", "postgresql+psycopg://")


@contextlib.contextmanager
def virtual_host() -> Iterator[str]:
    name = f"waybill-{uuid.uuid4().hex[:12]}"
    all_of_it = dict.fromkeys(("configure", "write", "read"), ".*")
    definitions = {
        "vhosts": [{"name": name}],
        "permissions": [{"user": "guest", "vhost": name, **all_of_it}],
    }
    _rabbitmqctl("import_definitions", said=json.dumps(definitions))  # each call takes a second
    try:
        yield f"{RABBITMQ}/{name}"
    finally:
        _rabbitmqctl("delete_vhost", name)


def _rabbitmqctl(*arguments: str, said: str = "") -> None:
    command = ["rabbitmqctl", "--quiet", *arguments]
    subprocess.run(command, input=said, text=True, check=True, capture_output=True)


@contextlib.contextmanager
def redis_database() -> Iterator[str]:
    """A Redis server of its own, in memory, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    server = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
    try:
        url = f"redis://127.0.0.1:{port}/0"
        retry = Retry(ConstantBackoff(0.05), 200)
        with redis.Redis.from_url(url, retry=retry) as client:
            client.ping()
        yield url
    finally:
        server.terminate()
        server.wait()
