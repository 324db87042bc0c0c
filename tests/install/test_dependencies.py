"""Check that every import of the code is declared in pyproject.toml."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions, requires
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = ("broker", "workers", "api", "cli")
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = CONFIGURATION["project"]
DISTRIBUTIONS = packages_distributions()
NAME = re.compile(r"[A-Za-z0-9._-]+")
EXTRA = re.compile(r"\[([^\]]+)\]")


@dataclass(frozen=True)
class Import:
    """A top-level module that a file imports; lazily, where it does so inside a function."""

    module: str
    place: str
    lazy: bool


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    found = (NAME.match(each) for each in requirements)
    return {normalized(match[0]) for match in found if match}


def imports(tree: ast.AST, place: str, *, lazy: bool = False) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name.partition(".")[0], f"{place}:{node.lineno}", inside)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield Import(node.module.partition(".")[0], f"{place}:{node.lineno}", inside)
        yield from imports(node, place, lazy=inside)


def imports_of_others() -> Iterator[Import]:
    """Every import of a module that is neither ours nor Python's own."""
    for package in OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            for found in imports(ast.parse(path.read_text()), str(path.relative_to(ROOT))):
                if found.module not in OURS and found.module not in sys.stdlib_module_names:
                    yield found


REQUIRED = names(PROJECT["dependencies"])
OPTIONAL = {
    name
    for extra, requirements in PROJECT["optional-dependencies"].items()
    if extra != "dev"
    for name in names(requirements)
}


def test_every_import_is_declared():
    """Only functions import what an extra brings: everything else must start without it."""
    undeclared = []
    for found in imports_of_others():
        sources = {normalized(each) for each in DISTRIBUTIONS.get(found.module, [found.module])}
        allowed = REQUIRED | (OPTIONAL if found.lazy else set())
        if not sources & allowed:
            undeclared.append(f"{found.place} imports {found.module} of {sorted(sources)}")
    assert undeclared == []


def test_every_dependency_is_imported():
    """Dependencies that no module imports are useless, except those that are used by name only."""
    by_name = {"flower", "httptools", "httpx-aiohttp", "psycopg", "python-multipart"}
    imported = {
        normalized(name)
        for found in imports_of_others()
        for name in DISTRIBUTIONS.get(found.module, [])
    }
    assert REQUIRED - imported - by_name == set()


def test_the_redis_transport_is_installed_whole():
    """Kombu keeps what its Redis transport imports in an extra."""
    behind = [each for each in requires("kombu") or () if 'extra == "redis"' in each]
    assert behind, "kombu has no such extra any more"
    asked = {
        extra.strip()
        for requirement in PROJECT["dependencies"]
        if names([requirement]) <= {"celery", "kombu"}
        for match in EXTRA.finditer(requirement)
        for extra in match[1].split(",")
    }
    assert "redis" in asked


def test_the_image_is_built_from_all_that_the_wheel_holds():
    """The Dockerfile copies each folder of the wheel, and .dockerignore lets it in."""
    copied = {
        name
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from=" not in line
        for name in line.split()[1:-1]
    }
    wheel = CONFIGURATION["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], "README.md", "LICENSE", "pyproject.toml"}
    assert needed <= copied
    let_in = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert copied - {"waybill.tom[l]"} <= let_in
