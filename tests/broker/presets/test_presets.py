"""Presets merge into bodies, and have versions in the database."""

import pytest

from broker import presets
from broker.errors import InvalidRequestError, NotFoundError
from broker.presets import NewVersion, PresetContent, PresetName
from tests.factories import NOW, make_principal, write

HELLO = {"role": "user", "content": "hello"}
RULES = {"role": "system", "content": "Be brief."}
KEPT = PresetContent({"model": "acme/small", "temperature": 0.1, "max_tokens": 9}, "Be brief.")


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        ({"model": "@preset/mail"}, "mail"),
        ({"model": "acme/large@preset/mail"}, "mail"),
        ({"preset": "mail", "model": "acme/large"}, "mail"),
        ({"preset": "mail", "model": "@preset/mail"}, "mail"),
        ({"model": "acme/large"}, None),
        ({"model": 7}, None),
    ],
)
def test_how_a_body_refers_to_one(body, slug):
    assert presets.find_slug(body) == slug


@pytest.mark.parametrize(
    "body",
    [
        {"preset": 7},
        {"preset": "No Such"},
        {"model": "@preset/"},
        {"preset": "a", "model": "@preset/b"},
    ],
)
def test_what_cannot_be_one_is_refused(body):
    with pytest.raises(InvalidRequestError):
        presets.find_slug(body)


def test_what_is_kept_of_a_body():
    body = {"messages": [RULES, HELLO], "stream": True, "user": "u", **KEPT.config, "top_p": None}
    assert presets.capture(body) == KEPT
    assert presets.capture({"messages": [HELLO]}) == PresetContent({}, None)
    parts = {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}
    assert presets.capture({"messages": [parts]}).system_prompt == "Be brief."


def test_what_a_body_says_itself_stands():
    body = {"model": "acme/large@preset/mail", "messages": [HELLO], "temperature": 0.9}
    assert presets.merge(body, KEPT) == {
        "model": "acme/large",
        "messages": [RULES, HELLO],
        "temperature": 0.9,
        "max_tokens": 9,
    }
    own = {"role": "system", "content": "Be long."}
    merged = presets.merge({"preset": "mail", "messages": [own, HELLO]}, KEPT)
    assert merged["messages"] == [own, HELLO]
    assert merged["model"] == "acme/small"
    assert "preset" not in merged


def wish(caller, content=KEPT, *, slug="mail", now=NOW):
    return NewVersion(PresetName(caller.workspace_id, slug), caller.api_key_id, content, now)


def test_versions_follow_each_other_and_any_can_be_chosen(database, caller):
    # Given three versions, one after the other
    later = PresetContent({"model": "acme/large"})
    write(database, presets.save, wish(caller))
    write(database, presets.save, wish(caller, later, now=NOW + 1))
    write(database, presets.save, wish(caller, PresetContent({"seed": 3}), now=NOW + 2))

    def found(version=None):
        return database.read_now(presets.find, caller.workspace_id, "mail", version)

    assert found().content == PresetContent({"seed": 3})
    assert found(2).content == later
    assert found(4) is None
    rows, total = database.read_now(presets.list_versions, caller.workspace_id, "mail", 2, 0)
    assert ([row.version for row in rows], total) == ([3, 2], 3)
    # When the first is chosen, then calls get it, and the next is still the fourth
    name = PresetName(caller.workspace_id, "mail")
    write(database, presets.choose, name, 1, NOW + 3)
    assert found().content == KEPT
    write(database, presets.save, wish(caller, later, now=NOW + 4))
    assert found().version.version == 4
    with pytest.raises(NotFoundError):
        write(database, presets.choose, name, 9, NOW)


def test_a_preset_is_its_workspaces_own(database, caller):
    stranger = make_principal(database, name="stranger")
    write(database, presets.save, wish(caller))
    write(database, presets.save, wish(caller, slug="chat"))
    assert database.read_now(presets.find, stranger.workspace_id, "mail") is None
    assert write(database, presets.delete, PresetName(stranger.workspace_id, "mail")) is False
    rows, total = database.read_now(presets.list_presets, caller.workspace_id, 1, 1)
    assert ([row.slug for row in rows], total) == (["mail"], 2)
    assert write(database, presets.delete, PresetName(caller.workspace_id, "mail")) is True
    assert database.read_now(presets.find, caller.workspace_id, "mail") is None
