"""The list of commands agrees with the commands, and loads none of them."""

import inspect
import subprocess
import sys

import pytest

from cli.main import COMMANDS, load_command


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
