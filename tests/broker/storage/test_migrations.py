import subprocess
import sys

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlmodel import SQLModel

from broker.migrations import config, migrate
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


def test_the_dialects_of_batches_move_to_their_column(fresh_url, connect):
    database = connect(fresh_url)
    command.upgrade(config(database.engine), "0019")
    own = '{"metadata":{"dialect":"messages"},"model":null}'
    before = {
        "a": ('{"metadata":null,"dialect":"messages"}', "messages", '{"metadata":null}'),
        "b": ('{"metadata":null,"dialect":"responses"}', "responses", '{"metadata":null}'),
        "c": (own, None, own),
    }
    insert = (
        "INSERT INTO batches (id, workspace_id, api_key_id, state, endpoint, input_file_id, inline,"
        " completion_window, options, priority, cursor, lines_read, lines_total, created_at,"
        " expires_at) VALUES (:id, 'w', 'k', 'completed', '/v1/chat/completions', 'f', false,"
        " '24h', :options, 0, 0, 0, 0, 0, 0)"
    )
    with database.transaction() as connection:
        for id_, (options, _, _) in before.items():
            connection.execute(text(insert), {"id": id_, "options": options})
    migrate(database.engine)
    query = text("SELECT id, dialect, options FROM batches ORDER BY id")
    found = database.read_now(lambda connection: connection.execute(query).all())
    assert found == [(id_, dialect, rest) for id_, (_, dialect, rest) in before.items()]
