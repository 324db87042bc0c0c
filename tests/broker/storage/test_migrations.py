import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

from broker.storage import tables  # noqa: F401  # registers the tables

MIGRATE = (
    "import sys; from broker.migrations import migrate; "
    "from broker.storage.database import Database; "
    "database = Database(sys.argv[1]); migrate(database.engine); database.close()"
)


def test_a_migrated_database_is_what_the_code_expects(database):
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.service)])
def fresh_url(request, tmp_path):
    """The URL of a database without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'fresh.db'}"
    return request.getfixturevalue("create_postgres")()


def test_processes_that_start_together_migrate_once(fresh_url, connect):
    # Given a database without tables
    # When three processes bring it up to date at the same time
    command = [sys.executable, "-c", MIGRATE, fresh_url]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    ended = [
        (process.communicate(timeout=60)[1].decode(), process.returncode) for process in processes
    ]
    # Then all succeed
    assert [code for _, code in ended] == [0, 0, 0], ended
    with connect(fresh_url).engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_heads()
