"""The list of commands agrees with the commands, and loads none of them."""

import inspect
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cli.main import COMMANDS, app, load_command


@pytest.mark.parametrize("word", COMMANDS)
def test_help_in_the_list_is_the_help_of_the_command(word):
    described = inspect.cleandoc(load_command(word).help).partition("\n\n")[0].replace("\n", " ")
    assert COMMANDS[word].help == described


@pytest.mark.parametrize("words", [["jobs", "--help"], ["--help"]])
def test_help_loads_no_other_command(words):
    heavy = "{'celery', 'sqlalchemy', 'fastapi', 'aiohttp'} & sys.modules.keys()"
    code = (
        f"import sys; sys.argv = ['waybill', *{words}]; import cli.main\n"
        f"try: cli.main.app()\nexcept SystemExit: print({heavy})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("set()"), done.stdout


def paths(command, *above):
    """Return the words of a command, and of all commands below it."""
    below = getattr(command, "commands", {})
    return [above, *(each for name in below for each in paths(below[name], *above, name))]


@pytest.mark.parametrize("words", [(), *(p for w in COMMANDS for p in paths(load_command(w), w))])
def test_help_names_values_by_what_they_are(words):
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"}).output
    assert "--help" in shown
    assert "<bool>" not in shown
    assert "range>" not in shown
    assert "<float>" not in shown
    assert "<int>" not in shown
    assert ("--install-completion" in shown) == (words == ())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("waybill ba", "batch"),
        ("waybill batch c", "create cancel"),
        ("waybill up --w", "--workers"),
    ],
)
def test_commands_and_options_are_completed(line, words):
    env = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    shown = CliRunner().invoke(
        app, [], env=env | {"_WAYBILL_COMPLETE": "complete_bash"}, prog_name="waybill"
    )
    assert shown.output.split() == words.split()
