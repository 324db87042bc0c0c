"""The house rules that a machine can check; whoever needs an exception lists it with a reason."""

import ast
import re
from pathlib import Path

import grimp
import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parent.parent
PACKAGES = ("broker", "workers", "api", "cli")
MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 8

LONG_FILES: dict[str, str] = {}
"""Files that may be longer, each with the reason."""

LONG_FUNCTIONS: dict[str, str] = {}
"""Functions that may be longer, each with the reason."""

MANY_PARAMETERS: dict[str, str] = {}
"""Functions that may take more, each with the reason."""


def test_imports_point_down(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == 0, capsys.readouterr().out


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("broker", "workers")


def test_adapters_know_the_words_and_each_other_only(graph):
    # Given every module an adapter imports from our own code
    adapters = {m for m in graph.modules if f"{m}.".startswith("workers.adapters.")}
    known = {
        imported
        for adapter in adapters
        for imported in graph.find_modules_directly_imported_by(adapter)
    }
    # Then the core is present through its words alone
    assert len(adapters) > 10
    words = {
        "broker.completion",
        "broker.requests.data_uris",
        "broker.errors",
        "broker.security.redaction",
    }
    assert known - adapters <= words


def test_architecture_names_files_that_are_there():
    named = re.findall(
        r"`((?:api|broker|cli|tests|workers)/[\w/.]+)`", (ROOT / "ARCHITECTURE.md").read_text()
    )
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def sources():
    """Our source files; a migration is a record, not code to read."""
    files = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    return [path for path in files if "versions" not in path.parts]


def name_of(path):
    return str(path.relative_to(ROOT))


def functions():
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.stem}.{node.name}", node


def lines_without_docstring(node):
    documented = ast.get_docstring(node) is not None
    first = node.body[0]
    docstring = first.end_lineno - first.lineno + 1 if documented else 0
    return node.end_lineno - node.lineno + 1 - docstring


def parameters(node):
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return len([argument for argument in named if argument.arg not in ("self", "cls")])


def test_files_are_small_enough_to_read():
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in sources()}
    long = {name for name, length in lengths.items() if length > MAX_FILE_LINES}
    assert len(lengths) > 30
    assert long == set(LONG_FILES)


def test_functions_are_small_enough_to_read():
    long = {
        name for name, node in functions() if lines_without_docstring(node) > MAX_FUNCTION_LINES
    }
    assert long == set(LONG_FUNCTIONS)


def test_functions_take_few_parameters():
    many = {name for name, node in functions() if parameters(node) > MAX_PARAMETERS}
    assert many == set(MANY_PARAMETERS)
