"""`waybill credentials`, directly on a database: stored encrypted, never shown, audited."""

import re

import pytest
from sqlalchemy import select

from broker import credentials
from broker.accounts import DEFAULT_WORKSPACE, create_workspace
from broker.credentials import CredentialRefusal
from broker.security.encryption import Encryption
from broker.storage.tables import AuditEntry, ProviderCredential

SECRET = "sk-ant-very-secret-0123456789"


@pytest.fixture
def own(command):
    """Runs `waybill credentials …`; whatever it says, the key is not in it."""

    def run(*words, given=None):
        result = command("credentials", *words, given=given)
        assert SECRET not in result.output
        return result

    return run


@pytest.fixture
def add(own):
    """Keeps a key and returns its id."""

    def adding(*words, given=f"{SECRET}\n"):
        result = own("add", *(words or ("anthropic",)), given=given)
        assert result.exit_code == 0, result.output
        return result.stdout.split()[0]

    return adding


def rows(database, table=ProviderCredential):
    return database.read_now(lambda connection: connection.execute(select(table.__table__)).all())


def audited(database):
    told = [(row.actor, row.action, row.object_id) for row in rows(database, AuditEntry)]
    return [each for each in told if each[1].startswith("credentials.")]


def test_a_key_is_kept_sealed_and_listed_masked(database, add, own):
    made = add("anthropic", "--name=prod", "--model=anthropic/claude-sonnet-4.5", "--required")
    [row] = rows(database)
    assert (row.id, row.workspace_id, row.provider) == (made, DEFAULT_WORKSPACE, "anthropic")
    assert (row.is_required, row.allowed_models) == (True, '["anthropic/claude-sonnet-4.5"]')
    assert SECRET not in repr(row)
    assert re.search(rf"{made} .* anthropic +prod +sk-a…6789 +required +active", own("list").stdout)
    assert audited(database) == [("cli", "credentials.create", made)]
    assert SECRET not in repr(rows(database, AuditEntry))


def test_a_servers_process_opens_what_the_command_sealed(database, add, tmp_path):
    """Without WAYBILL_SECRET_KEY both read the file of the data directory."""
    add()
    [row] = rows(database)
    key = (tmp_path / "secret_key").read_bytes().strip()
    assert Encryption(key).decrypt(row.encrypted_secret) == SECRET


def test_keys_are_listed_in_the_order_in_which_they_are_tried(database, add, own):
    last = add("anthropic", "--fallback")
    first, second = add(), add()
    assert re.findall(r"byok_\w+", own("list").stdout) == [first, second, last]


def test_a_disabled_key_is_used_no_more_until_it_is_enabled(database, add, own):
    made = add()
    with database.transaction() as connection:
        refusal = CredentialRefusal(made, "401: no", is_permanent=True, now=1)
        credentials.record_refusal(connection, refusal)
    assert "disabled: 401: no" in own("list").stdout
    assert own("enable", made).exit_code == 0
    assert (rows(database)[0].disabled, rows(database)[0].disabled_reason) == (False, None)
    assert own("disable", made).exit_code == 0
    assert rows(database)[0].disabled
    assert [action for _, action, _ in audited(database)] == [
        "credentials.create", "credentials.update", "credentials.update",
    ]  # fmt: skip


def test_a_key_of_another_workspace(database, add):
    with database.transaction() as connection:
        workspace_id = create_workspace(connection, "acme", unlimited=False)
    add("anthropic", "--workspace=acme")
    assert [row.workspace_id for row in rows(database)] == [workspace_id]


@pytest.mark.parametrize(
    ("words", "given", "told"),
    [
        (("add", "nobody"), SECRET, "'nobody' cannot be called"),
        (("add", "anthropic", "--workspace=nowhere"), SECRET, "no workspace 'nowhere'"),
        (("add", "anthropic"), "\n", "key"),
        (("disable", "byok_none"), None, "no key 'byok_none'"),
        (("enable", "byok_none"), None, "no key 'byok_none'"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(database, own, words, given, told):
    result = own(*words, given=given)
    assert result.exit_code == 1
    assert told in result.stderr
    assert rows(database) == audited(database) == []


def test_secrets_are_sealed_anew_with_another_secret_key(database, add, own, monkeypatch):
    monkeypatch.setenv("WAYBILL_SECRET_KEY", "the first secret key of all")
    add()
    before = rows(database)[0].encrypted_secret
    # Given another key, and nothing that opens the old seals
    monkeypatch.setenv("WAYBILL_SECRET_KEY", "the second secret key of all")
    failed = own("rotate")
    assert (failed.exit_code, "Nothing was changed" in failed.stderr) == (1, True)
    assert rows(database)[0].encrypted_secret == before
    # When the old one is at hand, then everything is encrypted again and it is needed no more
    monkeypatch.setenv("WAYBILL_OLD_SECRET_KEYS", "the first secret key of all")
    assert own("rotate").stdout.startswith("1 secrets are encrypted again")
    monkeypatch.delenv("WAYBILL_OLD_SECRET_KEYS")
    assert own("rotate").exit_code == 0
    assert rows(database)[0].encrypted_secret != before
