import re

import pytest

from broker.accounts import DEFAULT_WORKSPACE, authenticate, create_workspace, list_keys


@pytest.fixture
def keys(command):
    """Runs `waybill keys …`."""
    return lambda *words: command("keys", *words)


def test_a_key_is_printed_once_alone_and_works(keys, database):
    made = keys("create", "ci")
    assert made.exit_code == 0, made.output
    key = made.stdout.strip()
    caller = database.read_now(authenticate, key)
    assert caller.workspace_id == DEFAULT_WORKSPACE
    listed = keys("list").stdout
    assert key not in listed
    assert re.search(rf"{caller.api_key_id} +ci +sk-wb-\S+… *\S* +default +active", listed)


def test_a_disabled_key_stops_working(keys, database):
    key = keys("create", "leaked").stdout.strip()
    key_id = database.read_now(authenticate, key).api_key_id
    assert keys("disable", key_id).exit_code == 0
    assert database.read_now(authenticate, key) is None
    assert re.search(rf"{key_id} .* disabled", keys("list").stdout)
    # And again is no mistake
    assert keys("disable", key_id).exit_code == 0


@pytest.mark.parametrize("by", ["id", "name"])
def test_a_key_of_another_workspace(keys, database, by):
    with database.transaction() as connection:
        workspace_id = create_workspace(connection, "acme", unlimited=False)
    key = keys("create", "theirs", f"--workspace={workspace_id if by == 'id' else 'acme'}")
    assert database.read_now(authenticate, key.stdout.strip()).workspace_id == workspace_id


def test_what_is_not_there_is_said(keys, database):
    for words, told in (
        (("disable", "key_nobody"), "no key 'key_nobody'"),
        (("create", "x", "--workspace=nowhere"), "no workspace 'nowhere'"),
    ):
        result = keys(*words)
        assert result.exit_code == 1
        assert told in result.stderr


def test_without_a_database_none_is_made(keys, tmp_path):
    result = keys("list")
    assert result.exit_code == 1
    assert "waybill migrate" in result.stderr
    assert not (tmp_path / "waybill.db").exists()


def test_keys_of_the_whole_installation_are_told_apart(keys, database):
    keys("create", "boss", "--everywhere")
    [line] = [line for line in keys("list").stdout.splitlines() if "boss" in line]
    assert "(everywhere)" in line
    refused = keys("create", "x", "--everywhere", "--workspace=default")
    assert refused.exit_code == 2
    assert "x" not in [key.name for key in database.read_now(list_keys)]


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x1b[31m", "x" * 201])
@pytest.mark.parametrize("word", ["keys", "workspaces"])
def test_a_name_that_would_break_a_list_is_refused(command, database, word, name):
    done = command(word, "create", name)
    assert done.exit_code == 1
    assert done.stderr.startswith("waybill: name: m")


@pytest.mark.parametrize("slug", ["", "../x", "A", "a--b", "-a", "a" * 51])
def test_a_slug_that_is_no_part_of_a_url_is_refused(command, database, slug):
    done = command("workspaces", "create", "X", f"--slug={slug}")
    assert done.exit_code == 1
    assert "slug: must be lower-case letters" in done.stderr
