"""Workspaces' keys of providers: encrypted, found, refused, encrypted again; on both databases."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from broker import credentials
from broker.accounts import Principal
from broker.credentials import CredentialFilter, CredentialRefusal, LiveCredentials, NewCredential
from broker.credentials.records import label_of, read_key
from broker.errors import InvalidRequestError, UnavailableError
from broker.security.encryption import Encryption
from tests.factories import NOW, make_principal

SECRET = "sk-ant-very-secret-0123456789"
OLD, NEW = Encryption(b"old key"), Encryption(b"new key", [b"old key"])


@pytest.fixture
def keep(database, caller):
    def keeping(provider="anthropic", secret=SECRET, encryption=OLD, **columns):
        wanted = NewCredential(
            caller.workspace_id, provider, encryption.encrypt(secret), label_of(secret), columns
        )
        with database.transaction() as connection:
            return credentials.create(connection, wanted)

    return keeping


def refuse(database, row, *, is_permanent, now=NOW):
    refusal = CredentialRefusal(row.id, "401 authentication", is_permanent, now)
    with database.transaction() as connection:
        return credentials.record_refusal(connection, refusal)


def live(database, encryption=OLD, lit=()):
    known = LiveCredentials(database, encryption, lit)
    asyncio.run(known.refresh())
    return known


def test_a_key_is_nowhere_in_the_database(database, keep, sqlite_url):
    row = keep()
    assert row.label == "sk-a…6789"
    assert SECRET not in repr(row)
    if database.is_sqlite:
        with database.engine.connect() as connection:
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        path = sqlite_url.removeprefix("sqlite:///")
        assert SECRET.encode() not in Path(path).read_bytes()


def test_a_short_key_is_not_shown_in_part():
    assert label_of("0123456789abcdef") == "…"


def test_keys_are_tried_in_the_order_in_which_they_came(database, caller, keep):
    ids = [keep().id, keep().id, keep("openai").id]
    mine = live(database).with_credentials(caller).own_keys
    assert [key.id for key in mine.by_provider["anthropic"]] == ids[:2]
    assert mine.unconfigured == {"anthropic", "openai"}
    assert live(database, lit={"openai"}).with_credentials(caller).own_keys.unconfigured == {
        "anthropic"
    }
    rows, total = database.read_now(
        credentials.list_credentials, CredentialFilter({caller.workspace_id})
    )
    assert ([row.id for row in rows], total) == (ids, 3)


def test_another_workspace_has_none_of_it(database, keep):
    keep(is_required=True)
    stranger = make_principal(database, name="other")
    known = live(database)
    assert known.with_credentials(stranger) is stranger
    assert not known.forbids_shared(stranger.workspace_id, "anthropic", "a/m")


def test_a_key_for_some_callers_is_not_there_for_others(database, caller, keep):
    keep(allowed_key_ids='["key_other"]')
    known = live(database)
    assert not known.with_credentials(caller).own_keys.providers
    other = Principal(caller.workspace_id, "key_other", unlimited=True)
    assert known.with_credentials(other).own_keys.providers == {"anthropic"}


def test_every_change_is_seen(database, keep):
    row = keep()
    known = live(database)
    assert known.secret(row.id) == SECRET
    assert not asyncio.run(known.refresh())
    for change in (
        lambda c: credentials.change(c, row.id, {"disabled": True}),
        lambda c: credentials.change(c, row.id, {"disabled": False}),
        lambda c: credentials.change(c, row.id, {"encrypted_secret": OLD.encrypt("another")}),
        lambda c: credentials.delete(c, row.id),
    ):
        with database.transaction() as connection:
            change(connection)
        assert asyncio.run(known.refresh())
    assert known.secret(row.id) is None


def test_a_key_that_was_replaced_is_not_remembered(database, keep):
    row = keep()
    known = live(database)
    assert known.secret(row.id) == SECRET
    with database.transaction() as connection:
        credentials.change(connection, row.id, {"encrypted_secret": OLD.encrypt("the next one")})
    asyncio.run(known.refresh())
    assert known.secret(row.id) == "the next one"


def test_a_refusal_disables_a_key_once_and_says_why(database, caller, keep):
    row = keep()
    assert refuse(database, row, is_permanent=True).disabled_reason == "401 authentication"
    assert refuse(database, row, is_permanent=True) is None  # the owner is told once
    known = live(database)
    assert known.secret(row.id) is None
    assert known.with_credentials(caller).own_keys.by_provider["anthropic"][0].is_refused
    with database.transaction() as connection:
        again = credentials.change(connection, row.id, {"disabled": False})
    assert (again.disabled, again.disabled_reason, again.last_error) == (False, None, None)


def test_a_limit_is_noted_and_the_key_stays(database, keep):
    row = keep()
    assert refuse(database, row, is_permanent=False) is None
    noted = database.read_now(credentials.find, row.id)
    assert (noted.disabled, noted.last_error, noted.last_error_at) == (
        False,
        "401 authentication",
        NOW,
    )


def test_everything_is_sealed_anew(database, keep):
    row = keep()
    with database.transaction() as connection:
        assert credentials.rotate(connection, NEW) == 1
    after = database.read_now(credentials.find, row.id)
    assert Encryption(b"new key").decrypt(after.encrypted_secret) == SECRET
    with pytest.raises(UnavailableError):
        OLD.decrypt(after.encrypted_secret)


def test_what_no_key_opens_stops_a_rotation_before_anything_changed(database, keep):
    keep()
    foreign = keep(encryption=Encryption(b"who knows"))
    before = database.read_now(credentials.find, foreign.id).encrypted_secret
    with pytest.raises(UnavailableError), database.transaction() as connection:
        credentials.rotate(connection, NEW)
    rows, _ = database.read_now(credentials.list_credentials, CredentialFilter(None))
    assert before in {row.encrypted_secret for row in rows}
    assert OLD.decrypt(rows[0].encrypted_secret) == SECRET


@pytest.mark.parametrize(
    "given",
    ["", "  \n", "two\nlines", "h\N{LATIN SMALL LETTER A WITH ACUTE}", "x" * 10_001, "a\0b"],
)
def test_a_key_that_no_header_carries_is_refused_without_being_repeated(given):
    with pytest.raises(InvalidRequestError) as refused:
        read_key(given)
    assert not given.strip() or given not in str(refused.value)


def test_a_key_comes_without_the_line_break_it_was_piped_with():
    assert read_key(f"{SECRET}\n") == SECRET
