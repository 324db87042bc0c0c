from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import select, update

from broker import accounts
from broker.accounts import DEFAULT_WORKSPACE
from broker.storage.tables import ApiKey
from tests.factories import count, make_principal

KEYS = ApiKey.__table__


def first_start(database, bootstrap_key=""):
    with database.transaction() as connection:
        return accounts.ensure_first_start(connection, bootstrap_key)


def authenticate(database, key):
    return database.read_now(accounts.authenticate, key)


def disable_all(database):
    with database.transaction() as connection:
        connection.execute(update(KEYS).values(disabled=True))


def test_the_first_start_shows_a_key_that_works_and_later_starts_show_none(database):
    made = first_start(database)
    principal = authenticate(database, made.key)
    assert (principal.workspace_id, principal.unlimited) == (DEFAULT_WORKSPACE, True)
    assert first_start(database) is None
    assert count(database, ApiKey) == 1


def test_a_bootstrap_key_works_from_the_first_start_and_is_registered_once(database):
    for _ in range(2):
        assert first_start(database, "sk-wb-chosen-by-the-owner") is None
    assert authenticate(database, "sk-wb-chosen-by-the-owner").workspace_id == DEFAULT_WORKSPACE
    assert count(database, ApiKey) == 1


def test_a_new_bootstrap_key_joins_an_old_installation(database):
    first_start(database)
    first_start(database, "sk-wb-another")
    assert authenticate(database, "sk-wb-another") is not None


def test_processes_that_start_together_agree_on_one_workspace_and_key(url, database, connect):
    # Given four processes that start at once on an empty database
    sides = [connect(url) for _ in range(4)]
    # When each registers the bootstrap key
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda side: first_start(side, "sk-wb-shared"), sides))
    # Then none fails, and the key is there once
    assert made == [None] * 4
    assert count(database, ApiKey) == 1


def test_a_disabled_bootstrap_key_stays_disabled_and_the_start_succeeds(database):
    # Given a bootstrap key that was disabled because it leaked
    first_start(database, "sk-wb-leaked")
    disable_all(database)
    # When the server starts again with it
    assert first_start(database, "sk-wb-leaked") is None
    # Then it does not open the door
    assert authenticate(database, "sk-wb-leaked") is None


def test_unknown_empty_and_disabled_keys_open_nothing(database):
    made = first_start(database)
    assert authenticate(database, "sk-wb-guess") is None
    assert authenticate(database, "") is None
    disable_all(database)
    assert authenticate(database, made.key) is None


def test_a_key_is_stored_as_a_hash_and_shown_masked(database):
    made = first_start(database)
    row = database.read_now(lambda connection: connection.execute(select(KEYS)).one())
    assert made.key not in map(str, row)
    assert row.hash == accounts.hash_key(made.key)
    assert row.label == f"{made.key[:12]}…{made.key[-4:]}"


def test_a_short_key_is_masked_whole():
    assert accounts.mask("sk-wb-12345") == "…"


def test_keys_are_long_and_never_alike(database):
    principal = make_principal(database)
    with database.transaction() as connection:
        keys = [accounts.create_key(connection, principal.workspace_id, "k") for _ in range(50)]
    assert len({made.key for made in keys}) == 50
    assert all(made.key.startswith("sk-wb-") and len(made.key) >= 49 for made in keys)
