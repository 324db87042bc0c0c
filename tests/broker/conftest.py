import os
import shutil

import psycopg
import pytest

from broker.migrations import migrate
from broker.storage.database import Database
from broker.storage.frequent_statements import FrequentQuery, FrequentWrite
from tests.factories import empty, make_principal

SERVER = os.environ.get("WAYBILL_TEST_POSTGRES", "postgresql://root@127.0.0.1:5432/test")


@pytest.fixture(scope="session")
def create_postgres():
    """Makes empty PostgreSQL databases that are dropped at the end; returns their URLs."""
    try:
        server = psycopg.connect(SERVER, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no PostgreSQL at {SERVER}: {error}")
        pytest.skip(f"no PostgreSQL at {SERVER}")
    made = []

    def create():
        made.append(f"waybill_test_{os.getpid()}_{len(made)}")
        server.execute(f"CREATE DATABASE {made[-1]}")
        address = SERVER.rpartition("/")[0].replace("postgresql://", "postgresql+psycopg://")
        return f"{address}/{made[-1]}"

    yield create
    for name in made:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    server.close()


@pytest.fixture(scope="session")
def postgres_url(create_postgres):
    """The URL of a migrated PostgreSQL database of this session's own."""
    url = create_postgres()
    database = Database(url)
    migrate(database.engine)
    database.close()
    return url


@pytest.fixture
def sqlite_url(migrated, tmp_path):
    return f"sqlite:///{shutil.copy(migrated, tmp_path / 'waybill.db')}"


@pytest.fixture
def empty_postgres_url(postgres_url):
    database = Database(postgres_url)
    empty(database)
    database.close()
    return postgres_url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.service)])
def url(request):
    """The URL of an empty database of either kind."""
    return request.getfixturevalue(
        "sqlite_url" if request.param == "sqlite" else "empty_postgres_url"
    )


@pytest.fixture
def connect():
    """Opens databases that are closed at the end."""
    opened = []

    def opening(url):
        opened.append(Database(url, sqlite_synchronous="off"))
        return opened[-1]

    yield opening
    for database in opened:
        database.close()


@pytest.fixture
def database(url, connect):
    return connect(url)


@pytest.fixture
def postgres(empty_postgres_url, connect):
    return connect(empty_postgres_url)


@pytest.fixture
def frequent(monkeypatch):
    """The frequent statements that are run: each with its SQL and its parameters or rows."""
    run = []
    read, send = FrequentQuery.all, FrequentWrite._send

    def reading(query, connection, values):
        run.append((query._statement.compiled(connection.dialect).sql, values))
        return read(query, connection, values)

    def sending(write, connection, rows):
        run.append((write._each.compiled(connection.dialect).sql, rows))
        return send(write, connection, rows)

    monkeypatch.setattr(FrequentQuery, "all", reading)
    monkeypatch.setattr(FrequentWrite, "_send", sending)
    return run


@pytest.fixture
def caller(database):
    """A caller whom no balance limits."""
    return make_principal(database)
