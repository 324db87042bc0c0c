"""The rules that a machine can check; whoever needs an exception lists it with a reason."""

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
        "broker.requests.hints",
        "broker.requests.native",
        "broker.errors",
        "broker.security.redaction",
        "broker.values",
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


def writes_state(node):
    """Return whether a call is `….values(state=…)` or `….values({"state": …})`."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    if node.func.attr != "values":
        return False
    keys = [key for each in node.args for key in ast.walk(each) if isinstance(key, ast.Constant)]
    return "state" in {keyword.arg for keyword in node.keywords} | {key.value for key in keys}


def names_another_table(node):
    """Return whether a call chain begins with an insert or updates a table other than jobs."""
    starts = [
        (getattr(each.func, "id", getattr(each.func, "attr", "")), ast.unparse(each.args[0]))
        for each in ast.walk(node)
        if isinstance(each, ast.Call) and each.args
    ]
    return any(
        name == "insert" or (name == "update" and not re.search(r"\b(_?jobs|Job)\b", table))
        for name, table in starts
    )


JOB_UPDATE_TEXT = re.compile(r"\bupdate\s+jobs\s+set\b", re.IGNORECASE)


def changes_of_job_states(tree):
    """Yield the lines at which a module may change the state of jobs without their guards."""
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        is_update = writes_state(node) and not names_another_table(node.func)
        if is_update or (is_text and JOB_UPDATE_TEXT.search(node.value)):
            yield node.lineno


@pytest.mark.parametrize(
    "code",
    [
        "update(_jobs).where(a == b).values(state='queued', error=None)",
        "update(table(Job)).values({'state': bindparam('state')} | other)",
        "connection.execute(text('UPDATE jobs SET x = 1'))",
        "_BEGUN.where(a == b).values(state='queued')",
    ],
)
def test_a_change_of_a_job_state_is_found(code):
    assert list(changes_of_job_states(ast.parse(code))) == [1]


@pytest.mark.parametrize(
    "code", ["update(_batches).values(state='ended')", "update(_jobs).values(kept='result')"]
)
def test_another_update_is_no_change_of_a_job_state(code):
    assert list(changes_of_job_states(ast.parse(code))) == []


def test_job_states_change_by_guarded_transitions_only():
    found = {name_of(p) for p in sources() if [*changes_of_job_states(ast.parse(p.read_text()))]}
    assert found == {"broker/lifecycle/transitions.py"}
    # And no other package builds such a transition
    importers = {
        name_of(path)
        for path in sources()
        if "lifecycle.transitions" in path.read_text() and path.parent.name != "lifecycle"
    }
    assert importers == set()


ROW_NAMES = frozenset({"row", "rows", "job", "jobs", "attempt", "attempts", "batch", "batches"})
UNTYPED = frozenset(
    {
        "Any",
        "Any | None",
        "Sequence[Any]",
        "list[Any]",
        "Iterator[Any]",
        "tuple[Sequence[Any], int]",
    }
)

UNTYPED_ROWS: dict[str, str] = {}
"""Places that may pass rows without a type, as `file:function`, each with the reason."""


def untyped_rows(tree):
    """Yield the functions and classes of a module that take or return rows without a type.

    A parameter or field is a row by its name. A function returns rows if it takes a connection.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            typed = [(each.arg, each.annotation) for each in taken]
            returned = node.returns if "connection" in {each.arg for each in taken} else None
        elif isinstance(node, ast.ClassDef):
            fields = [each for each in node.body if isinstance(each, ast.AnnAssign)]
            typed, returned = [(ast.unparse(each.target), each.annotation) for each in fields], None
        else:
            continue
        found = [kind for name, kind in typed if name in ROW_NAMES and kind is not None]
        found += [returned] if returned is not None else []
        if any(ast.unparse(kind) in UNTYPED for kind in found):
            yield node.name


@pytest.mark.parametrize(
    "code",
    [
        "def render(row: Any) -> Json: ...",
        "def render(self, *, rows: Sequence[Any]) -> Json: ...",
        "async def find(connection: Connection, id_: str) -> Any | None: ...",
        "def iterate(connection: Connection) -> Iterator[Any]: ...",
        "class Report:\n    job: Any",
    ],
)
def test_a_row_without_a_type_is_found(code):
    assert len(list(untyped_rows(ast.parse(code)))) == 1


@pytest.mark.parametrize(
    "code", ["def render(row: KeyRow) -> Any: ...", "def dump(value: Any) -> Any: ..."]
)
def test_a_typed_row_is_no_row_without_a_type(code):
    assert list(untyped_rows(ast.parse(code))) == []


def test_rows_have_types():
    found = {
        f"{name_of(path)}:{name}"
        for path in sources()
        for name in untyped_rows(ast.parse(path.read_text()))
    }
    assert found == set(UNTYPED_ROWS)
