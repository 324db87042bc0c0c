"""Every command takes a workspace by its id, slug or name, and says so in the same words."""

from collections.abc import Iterator
from typing import Any

import pytest

from cli.database import WORKSPACE_HELP
from cli.main import COMMANDS, load_command

TAKES = {
    "keys create": ["a key"],
    "users create": ["ada@example.com"],
    "credits add": ["5"],
    "credits show": [],
    "ledger verify": [],
    "usage": [],
    "workspaces members": [],
}


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word, each in inner.items():
        yield from commands(each, f"{name} {word}")


def test_a_workspace_is_explained_in_the_same_words() -> None:
    found = {
        name: parameter.help
        for word in COMMANDS
        for name, command in commands(load_command(word), word)
        for parameter in command.params
        if parameter.name == "workspace"
    }
    assert found.keys() >= TAKES.keys()
    assert [name for name, said in found.items() if not said.endswith(WORKSPACE_HELP)] == []


@pytest.mark.parametrize("name", TAKES)
@pytest.mark.usefixtures("database")
def test_a_workspace_goes_by_its_id_its_slug_and_its_name(command, name) -> None:
    made = command("workspaces", "create", "The Acme Company", "--slug=acme")

    def ended(wanted: str) -> int:
        as_option = name.split()[0] in ("keys", "users", "ledger", "usage")
        place = [f"--workspace={wanted}"] if as_option else [wanted]
        return int(command(*name.split(), *place, *TAKES[name]).exit_code)

    assert ended(made.stdout.strip()) == 0
    assert ended("nowhere") == 1
    if name != "users create":  # an address can be given once
        assert ended("acme") == ended("The Acme Company") == 0
