"""Waybill's processes take nothing from the directory or the environment of another project."""

import os
import subprocess
import sys

import pytest

from cli.environment import isolate
from tests.install.decoys import VARIABLES, make_decoys


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_of_another_program_is_not_passed_on(monkeypatch, name):
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.setenv(name, VARIABLES[name])
    isolate()
    assert name not in os.environ
    assert os.environ["PYTHONSAFEPATH"] == "1"


PROGRAM = """
import asyncio, os
from cli.main import app
from cli.start import processes

if __name__ == "__main__":
    try:
        app(["--version"])
    except SystemExit:
        pass
    assert asyncio.run(processes.call_in_fork(os.path.basename, "/a/b")) == "b"
    from workers.runtime.app import app as consumer
    assert consumer.connection_for_read().hostname == "nowhere"
    assert consumer.connection_for_write().hostname == "nowhere"
    consumer.start(["--quiet", "report"])
    print("well")
"""


def test_nothing_of_another_project_is_run(tmp_path, tmp_path_factory):
    decoys = make_decoys(tmp_path, tmp_path_factory.mktemp("trace") / "trace")
    program = tmp_path_factory.mktemp("elsewhere") / "program.py"
    program.write_text(PROGRAM)
    ended = subprocess.run(
        [sys.executable, str(program)],
        cwd=decoys.directory,
        env=dict(os.environ) | VARIABLES | {"WAYBILL_BROKER_URL": "redis://nowhere:6379/0"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip().endswith("well")
    assert decoys.executed() == ""
