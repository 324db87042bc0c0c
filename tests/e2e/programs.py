"""Programs of others as clients: where they are installed, and what their calls cost.

`WAYBILL_TEST_NODE_MODULES` names a `node_modules` directory, and `WAYBILL_TEST_AGENTS_PYTHON` an
interpreter, that have them; CI makes both (`.ci/run`). Without one, its tests are skipped.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.installation import KEY, Installation

MODULES = os.environ.get("WAYBILL_TEST_NODE_MODULES")
AGENTS_PYTHON = os.environ.get("WAYBILL_TEST_AGENTS_PYTHON")
SECONDS = 120


def find_package(name: str) -> str:
    """Return the `node_modules` directory with a package; skip the test where there is none."""
    found = shutil.which("node") and MODULES and (Path(MODULES) / name).is_dir()
    return _require(MODULES if found else None, f"no {name} in WAYBILL_TEST_NODE_MODULES")


def find_agents_python() -> str:
    """Return the interpreter with the agent frameworks; skip the test where there is none."""
    return _require(AGENTS_PYTHON, "WAYBILL_TEST_AGENTS_PYTHON is not set")


def _require(found: str | None, reason: str) -> str:
    if found is None:
        assert os.environ.get("CI") != "true", reason
        pytest.skip(reason)
    return found


def run(
    installation: Installation,
    command: Sequence[str],
    directory: Path,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end, without our own settings; return what it printed."""
    known = {"URL": installation.url, "KEY": KEY, "HOME": str(directory)}
    done = subprocess.run(
        command,
        cwd=directory,
        env={**known, "PATH": os.environ["PATH"], **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def run_python(installation: Installation, directory: Path, source: str) -> Any:
    """Run a script with the agent frameworks; return the JSON of its last line."""
    printed = run(installation, [find_agents_python(), "-c", source], directory)
    return json.loads(printed.splitlines()[-1])


def run_node(installation: Installation, directory: Path, package: str, source: str) -> Any:
    """Run a module that imports a package; return the JSON of its last line."""
    (directory / "node_modules").symlink_to(find_package(package))
    (directory / "script.mjs").write_text(source)
    printed = run(installation, ["node", "script.mjs"], directory)
    return json.loads(printed.splitlines()[-1])


@dataclass(slots=True)
class Calls:
    """The calls of a program: a job for each, and the tokens they were charged for."""

    jobs: list[str] = field(default_factory=list)
    tokens: int = 0


@contextmanager
def charged_once(installation: Installation) -> Iterator[Calls]:
    """Give the calls made meanwhile; check that each is a completed job that was charged once."""
    before, calls = _list_states(installation), Calls()
    yield calls
    installation.await_idle()
    after = _list_states(installation)
    calls.jobs += after.keys() - before.keys()
    assert {after[job_id] for job_id in calls.jobs} == {"completed"}
    installation.audit(calls.jobs)
    tokens = {
        job_id: (read or 0) + (written or 0)  # some calls have no output
        for job_id, read, written in installation.ask(
            "SELECT job_id, input_tokens, output_tokens FROM generations"
        )
    }
    calls.tokens = sum(tokens[job_id] for job_id in calls.jobs)


def _list_states(installation: Installation) -> dict[str, str]:
    return dict(map(tuple, installation.ask("SELECT id, state FROM jobs")))
