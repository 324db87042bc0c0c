"""`.ci/retry` runs exactly the failed tests, alone, once more."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RETRY = Path(__file__).parents[1] / ".ci/retry"
SUITE = """
import os, pytest

FAILING = int(os.environ["FAILING"])

@pytest.mark.parametrize("name", [f"a@{number}" for number in range(30)])
def test_of_a_parameter(name):
    with open("ran", "a") as ran:
        print(name, file=ran)
    assert int(name[2:]) >= FAILING

def test_without_one():
    with open("ran", "a") as ran:
        print("plain", file=ran)
    assert not FAILING
"""
GROUPED = """
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.xdist_group("some_group.py"))
"""


def _run(directory: Path, *command: str, failing: int) -> subprocess.CompletedProcess[str]:
    """Run a command in the directory of a suite, of which so many cases fail."""
    (directory / "ran").write_text("")
    return subprocess.run(
        [sys.executable, *command],
        cwd=directory,
        env=os.environ | {"FAILING": str(failing), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text(GROUPED)
    (tmp_path / "test_some.py").write_text(SUITE)
    return tmp_path


def _ran(suite: Path) -> list[str]:
    return sorted((suite / "ran").read_text().split())


@pytest.mark.parametrize(
    "how", [(), ("-p", "xdist", "-n", "2", "--dist", "loadgroup")], ids=["alone", "grouped"]
)
def test_what_failed_runs_once_more_and_nothing_else(suite: Path, how: tuple[str, ...]) -> None:
    assert _run(suite, "-m", "pytest", "-q", *how, failing=2).returncode == 1
    assert len(_ran(suite)) == 31
    # what fails again has failed
    assert _run(suite, str(RETRY), failing=2).returncode == 1
    assert _ran(suite) == ["a@0", "a@1", "plain"]
    # what passes now has passed
    assert _run(suite, str(RETRY), failing=0).returncode == 0
    assert _ran(suite) == ["a@0", "a@1", "plain"]


def test_many_failures_are_not_retried(suite: Path) -> None:
    assert _run(suite, "-m", "pytest", "-q", failing=20).returncode == 1
    retried = _run(suite, str(RETRY), failing=0)
    assert retried.returncode == 1
    assert "21 tests" in retried.stdout
    assert _ran(suite) == []


def test_a_run_that_recorded_nothing_has_failed(suite: Path) -> None:
    assert _run(suite, str(RETRY), failing=0).returncode == 1
    assert _ran(suite) == []
