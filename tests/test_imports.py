"""Every module can be imported first: no module of ours needs itself while it is imported."""

import ast
from collections.abc import Iterable, Iterator

from tests.installation import REPOSITORY

PACKAGES = ("broker", "workers", "api", "cli")
Graph = dict[str, set[str]]


def test_no_module_needs_itself_while_it_is_imported() -> None:
    graph = _graph()
    assert len(graph) > 500
    assert list(_cycles(graph)) == []


def test_a_cycle_through_a_package_is_found() -> None:
    graph: Graph = {
        "p": set(),
        "p.tools": {"p", "p.wire", "p.wire.shapes"},
        "p.wire": {"p", "p.wire.request"},
        "p.wire.request": {"p.wire", "p.tools"},
        "p.wire.shapes": {"p.wire"},
    }
    [cycle] = _cycles(graph)
    assert "p.tools" in cycle
    graph["p.wire.request"].remove("p.tools")
    assert list(_cycles(graph)) == []


def _graph() -> Graph:
    """Return what each module imports as it is loaded, its packages included."""
    names = {}
    for package in PACKAGES:
        for path in (REPOSITORY / package).rglob("*.py"):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    graph: Graph = {}
    for name, path in names.items():
        wanted = set(_wanted(ast.parse(path.read_text()).body))
        packages = {each for one in {name, *wanted} for each in _packages(one)}
        graph[name] = ((wanted | packages) & names.keys()) - {name}
    return graph


def _wanted(statements: Iterable[ast.stmt]) -> Iterator[str]:
    """Yield the names that statements outside of functions import."""
    for statement in statements:
        match statement:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.If(test=ast.Name("TYPE_CHECKING")):
                pass
            case ast.If(body=body, orelse=others) | ast.Try(body=body, orelse=others):
                yield from _wanted([*body, *others])


def _packages(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _cycles(graph: Graph) -> Iterator[set[str]]:
    """Yield groups of modules that import each other.

    A package and its modules may: whoever imports one of them has begun with the package.
    """
    for group in _components(graph):
        if len(group) == 1:
            continue
        package = min(group, key=len)
        if not all(name.startswith(f"{package}.") for name in group - {package}):
            yield group
            continue
        inside = group - {package}
        yield from _cycles({name: graph[name] & inside for name in inside})


def _components(graph: Graph) -> list[set[str]]:
    """Return the strongly connected components (Kosaraju's algorithm)."""
    order: list[str] = []
    seen: set[str] = set()
    for first in graph:
        _visit(first, graph, seen, order)
    back: Graph = {name: set() for name in graph}
    for name, wanted in graph.items():
        for each in wanted:
            back[each].add(name)
    seen.clear()
    components = []
    for name in reversed(order):
        found: list[str] = []
        _visit(name, back, seen, found)
        if found:
            components.append(set(found))
    return components


def _visit(first: str, graph: Graph, seen: set[str], order: list[str]) -> None:
    """Append what can be reached from `first` and was not seen, each after what it leads to."""
    if first in seen:
        return
    seen.add(first)
    path = [(first, iter(graph[first]))]
    while path:
        name, rest = path[-1]
        following = next((each for each in rest if each not in seen), None)
        if following is None:
            order.append(name)
            path.pop()
        else:
            seen.add(following)
            path.append((following, iter(graph[following])))
