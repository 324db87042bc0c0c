"""Fixtures that many tests share: a running Waybill, a Valkey, a clock."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from redis.asyncio import Redis

from broker.catalog import live
from broker.catalog.models import Offer
from broker.catalog.names import Namer
from broker.migrations import migrate
from broker.storage.database import Database
from tests import stacks
from tests.factories import NOW
from tests.installation import Installation
from tests.stacks import AT_SCALE, NewDatabase
from tests.valkey import running_valkey

structlog.configure([structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])

MODELS = Path(__file__).parent / "e2e/models.toml"
SHARED = ("installation", "wires")
"""Fixtures that live as long as the run: all tests that share one run in one process, one after the
other, so that it is started once; all others by file."""

SLOW = ("docs", "chaos", "browser", "e2e", "cli", "security", "api")
"""Directories whose tests start processes or servers, slowest first. They run before the others: a
file of few slow tests that began last would keep one of the run's processes busy, the others idle.
"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = getattr(item, "fixturenames", ())
        group = next((name for name in SHARED if name in names), item.path.name)
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    """Return where a test stands in the order of a run: smaller goes first."""
    if any(name in getattr(item, "fixturenames", ()) for name in SHARED):
        return 0  # the longest group
    directory = item.path.relative_to(Path(__file__).parent).parts[0]
    return 1 + (SLOW.index(directory) if directory in SLOW else len(SLOW))


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    """One Waybill for all ordinary tests; whatever they did, at the end its books balance
    and its log holds no secret."""
    with Installation(
        {"WAYBILL_KEEP_ALIVE_SECONDS": "0.4", "WAYBILL_FETCHED_ANSWER_SECONDS": "1"},
        config=MODELS.read_text(),
    ) as installation:
        yield installation
        installation.await_idle()
        installation.audit()
        assert installation.leaked() == []


@pytest.fixture(autouse=True, scope="session")
def price_list_of_the_minute() -> Iterator[None]:
    """Read the bundled price list once a minute, not for each catalog: it takes 0.1 s."""
    list_offers, known = live.list_offers, dict[datetime, list[Offer]]()

    def list_once(namer: Namer, now: datetime | None = None) -> list[Offer]:
        moment = (now or datetime.now(UTC)).replace(second=0, microsecond=0)
        if moment not in known:
            known[moment] = list(list_offers(namer, moment))
        return known[moment]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "list_offers", list_once)
        yield


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """The URL of a running Valkey; at scale, of a Redis."""
    with stacks.redis_database() if AT_SCALE else running_valkey() as url:
        yield url


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
    _migrate(f"sqlite:///{path}")
    return path


def _migrate(url: str) -> None:
    database = Database(url, sqlite_synchronous="off")
    migrate(database.engine)
    database.close()


@pytest.fixture(scope="session")
def new_database(request: pytest.FixtureRequest) -> Iterator[NewDatabase]:
    """Makes migrated, empty databases: in a directory, or at scale on the server."""
    if not AT_SCALE:
        template = request.getfixturevalue("migrated")
        yield lambda directory: nullcontext(
            f"sqlite:///{shutil.copy(template, directory / 'waybill.db')}"
        )
        return
    stacks.require_servers()
    with stacks.database() as template:
        _migrate(stacks.sqlalchemy_url(template))
        yield lambda _directory: stacks.copy_of(template)


@pytest.fixture
def database_url(new_database: NewDatabase, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated, empty database of the test's own."""
    with new_database(tmp_path) as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated, empty database of the test's own."""
    database = Database(database_url, sqlite_synchronous="off")
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
