"""The tools of a caller's body, and their names in a chat body.

The Responses API groups tools in namespaces, and a client may search for tools: its search is a
tool, and the tools that it found are in the input. A chat body has one flat list of tools. A tool
of a namespace keeps its name there, unless another tool has the same one.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from broker.completion import Json

NAMESPACE, SEARCH, SEARCH_OUTPUT = "namespace", "tool_search", "tool_search_output"
CLIENT = "client"
MAX_NAME = 64
"""The length of a name that every provider takes."""


class OfferedTool(NamedTuple):
    """A tool outside or inside of a namespace, and its place in the body."""

    tool: Json
    field: str
    namespace: str | None = None

    @property
    def kind(self) -> str:
        return str(self.tool.get("type") or "")

    @property
    def name(self) -> str:
        """The name without the namespace; empty if there is none. A search has no name."""
        name = SEARCH if self.is_search else self.tool.get("name")
        return name if isinstance(name, str) else ""

    @property
    def is_search(self) -> bool:
        """True for a search that the client runs."""
        return self.kind == SEARCH and self.tool.get("execution") == CLIENT


NO_TOOL = OfferedTool({}, "")


def list_offered(body: Json) -> Sequence[OfferedTool]:
    """Return the tools of a body, those of namespaces and those that the client found included."""
    offered = list(_flatten(body.get("tools"), "tools"))
    known = {(each.namespace, each.name) for each in offered}
    items = body.get("input")
    for place, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict) and item.get("type") == SEARCH_OUTPUT:
            for each in _flatten(item.get("tools"), f"input.{place}.tools"):
                if (each.namespace, each.name) not in known:
                    known.add((each.namespace, each.name))
                    tool = {k: v for k, v in each.tool.items() if k != "defer_loading"}
                    offered.append(each._replace(tool=tool))
    return offered


def _flatten(tools: Any, field: str) -> Iterator[OfferedTool]:
    for position, tool in enumerate(_list_objects(tools)):
        place = f"{field}.{position}"
        if tool.get("type") != NAMESPACE:
            yield OfferedTool(tool, place)
            continue
        about = tool.get("description")
        for inner, held in enumerate(_list_objects(tool.get("tools"))):
            whole = held
            if inner == 0 and isinstance(about, str) and about:  # a chat has no other place for it
                whole = held | {
                    "description": f"{about}\n\n{held.get('description') or ''}".rstrip()
                }
            yield OfferedTool(whole, f"{place}.tools.{inner}", str(tool.get("name") or ""))


def _list_objects(values: Any) -> list[Json]:
    """Return the entries of a list; what is no object becomes one without a type."""
    entries = values if isinstance(values, list) else ()
    return [each if isinstance(each, dict) else {} for each in entries]


class ToolNames:
    """The names of tools in a chat body, and the tools that they stand for."""

    def __init__(self, offered: Sequence[OfferedTool]) -> None:
        counts = Counter(each.name for each in offered)
        self._in_chat = {
            (each.namespace, each.name): _name(each, is_single=counts[each.name] == 1)
            for each in offered
        }
        self._tools = {self._in_chat[each.namespace, each.name]: each for each in offered}

    def to_chat(self, name: str, namespace: str | None = None) -> str:
        """Return the name in a chat body of a tool as the caller names it."""
        return self._in_chat.get((namespace, name), name)

    def find(self, name: str) -> OfferedTool:
        """Return the tool with this name in a chat body; `NO_TOOL` if the model made it up."""
        return self._tools.get(name, NO_TOOL)


NO_NAMES = ToolNames(())


def _name(offered: OfferedTool, *, is_single: bool) -> str:
    if is_single or offered.namespace is None:
        return offered.name
    room = max(MAX_NAME - len(offered.name) - 2, 0)
    return f"{offered.namespace[:room]}__{offered.name}"
