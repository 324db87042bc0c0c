"""`waybill`'s words: what the list of them says is what each says of itself."""

import inspect
import subprocess
import sys

import pytest

from cli.main import COMMANDS, load_command


@pytest.mark.parametrize("word", COMMANDS)
def test_a_word_is_described_as_it_describes_itself(word):
    told = inspect.cleandoc(load_command(word).help).partition("\n\n")[0].replace("\n", " ")
    assert COMMANDS[word].help == told


@pytest.mark.parametrize("words", [["jobs", "--help"], ["--help"]])
def test_a_word_loads_no_other(words):
    heavy = "{'celery', 'sqlalchemy', 'fastapi', 'aiohttp'} & sys.modules.keys()"
    code = (
        f"import sys; sys.argv = ['waybill', *{words}]; import cli.main\n"
        f"try: cli.main.app()\nexcept SystemExit: print({heavy})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("set()"), done.stdout
