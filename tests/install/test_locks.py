"""The image is built from files whose hashes are known, of the versions that are tested."""

import re
import tomllib

import pytest

from tests.install.lock import LOCKS, constraints, exact, extras, pins
from tests.installation import REPOSITORY

HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
NAMES = ["base", "build", *extras()]


@pytest.mark.parametrize("name", NAMES)
def test_every_locked_package_has_a_hash_and_the_version_of_the_constraints(name: str) -> None:
    text = (LOCKS / f"{name}.txt").read_text()
    found = pins(text)
    # the simulator needs packages of the base only
    assert bool(found) == (name != "simulator")
    assert "".join(found.values()) == text  # nothing stands beside the packages
    assert {exact(each) for each in found.values()} <= constraints()
    for each in found.values():
        first, *lines = (line.removesuffix("\\").strip() for line in each.splitlines())
        assert lines, f"{first} has no hash"
        assert all(HASH.fullmatch(line) for line in lines), each


def test_locks_are_of_all_extras_and_name_no_index() -> None:
    assert {path.stem for path in LOCKS.iterdir()} == set(NAMES)
    text = "".join(path.read_text() for path in LOCKS.iterdir())
    assert "://" not in text
    assert "--index" not in text


def test_what_is_required_is_locked() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    locked = {
        exact(each).partition("==")[0] for each in pins((LOCKS / "base.txt").read_text()).values()
    }
    needed = {re.match(r"[a-z0-9-]+", each)[0] for each in project["dependencies"]}  # type: ignore[index]
    assert needed <= locked


def test_the_image_installs_nothing_without_a_hash() -> None:
    """Each `pip install` or `pip wheel` of the Dockerfile asks for hashes, or reaches no index."""
    lines = (REPOSITORY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    told = [
        part for line in lines for part in line.split("&&") if re.search(r"pip (inst|wheel)", part)
    ]
    assert len(told) >= len(("build", "base", "the wheel"))
    for each in told:
        assert "--require-hashes" in each or "--no-index" in each, each
