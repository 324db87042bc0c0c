"""What many tests share: a running Waybill to be talked to from outside, a Valkey, a clock."""

import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import structlog
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.exceptions import RedisError

from broker.database import Database
from broker.migrations import migrate
from broker.settings import Settings
from cli.start.valkey import valkey_command
from tests.factories import NOW
from tests.house import House, until

structlog.configure([structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])

MODELS = Path(__file__).parent / "e2e/models.toml"
HOUSES = ("house", "wires")
"""Fixtures that live as long as the run: all tests that share one run in one process, one after the
other, so that it is started once; all others by file."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = getattr(item, "fixturenames", ())
        group = next((name for name in HOUSES if name in names), item.path.name)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    """One Waybill for all ordinary tests; whatever they did, at the end its books balance
    and its log holds no secret."""
    with House(
        {"WAYBILL_KEEP_ALIVE_SECONDS": "0.4", "WAYBILL_FETCHED_ANSWER_SECONDS": "1"},
        config=MODELS.read_text(),
    ) as house:
        yield house
        house.await_idle()
        house.audit()
        assert house.leaked() == []


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """The URL of a running Valkey."""
    with TemporaryDirectory(prefix="wb", dir="/tmp") as directory:
        settings = Settings(data_dir=Path(directory))
        server = subprocess.Popen(valkey_command(settings))
        until(lambda: _answers(settings.redis), 20, "Valkey does not answer")
        yield settings.redis
        server.terminate()
        server.wait(10)


def _answers(url: str) -> bool:
    try:
        with BlockingRedis.from_url(url) as redis:
            return bool(redis.ping())
    except (RedisError, OSError):
        return False


@pytest.fixture
async def redis(valkey: str) -> AsyncIterator[Redis]:
    """A connection to an empty Valkey."""
    redis = Redis.from_url(valkey)
    await redis.flushall()
    yield redis
    await redis.aclose()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file to copy: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("template") / "waybill.db"
    database = Database(f"sqlite:///{path}", sqlite_synchronous="off")
    migrate(database.engine)
    database.close()
    return path


@pytest.fixture
def database(migrated: Path, tmp_path: Path) -> Iterator[Database]:
    """A migrated database of the test's own."""
    path = shutil.copy(migrated, tmp_path / "waybill.db")
    database = Database(f"sqlite:///{path}", sqlite_synchronous="off")
    yield database
    database.close()


class Clock:
    """Unix milliseconds that stand still until they are moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()
