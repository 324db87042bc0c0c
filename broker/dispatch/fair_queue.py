"""The fair queue: weighted turns of workspaces, then of their batches, then by age. Pure.

Workspaces take turns by stride scheduling (Waldspurger and Weihl, 1995). Each has a counter of how
far it has been served, to which a job adds one divided by the weight. The workspace with the lowest
counter is next. A new workspace starts at the lowest counter of the others, so that idling earns no
credit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)


class Source(Protocol[Item_co]):
    """A line's jobs, in order."""

    def next(self) -> Item_co | None:
        """Take the next one, or None once nothing of it may go now."""


@dataclass(frozen=True, slots=True)
class Flow(Generic[Item]):
    """Jobs of one workspace, batch and priority."""

    key: str
    source: Source[Item]

    @property
    def workspace_id(self) -> str:
        return self.key.split("/", 1)[0]

    @property
    def priority(self) -> int:
        return int(self.key.rsplit("/", 1)[1])


@dataclass(slots=True)
class FairTurns:
    """Remembers whose turn it is at one provider; forgets those of whom nothing waits."""

    served: dict[str, float] = field(default_factory=dict)  # by workspace
    turn: dict[str, int] = field(default_factory=dict)  # by line: when it was last served
    clock: int = 0

    def choose(
        self, lines: Iterable[Flow[Item]], weights: Mapping[str, float], room: int
    ) -> list[Item]:
        """Take up to `room` jobs from these lines, in turns."""
        waiting: dict[str, list[Flow[Item]]] = {}
        for line in lines:
            waiting.setdefault(line.workspace_id, []).append(line)
        self._meet(waiting)
        chosen: list[Item] = []
        while waiting and len(chosen) < room:
            workspace = min(waiting, key=lambda each: (self.served[each], each))
            item = self._take(waiting, workspace)
            if item is not None:
                chosen.append(item)
                self.served[workspace] += 1 / weights.get(workspace, 1)
        return chosen

    def _meet(self, waiting: Mapping[str, list[Flow[Item]]]) -> None:
        """Drop workspaces that wait no more; start new ones at the lowest counter of the others."""
        known = {each: self.served[each] for each in waiting if each in self.served}
        start = min(known.values(), default=0.0)
        self.served = {each: known.get(each, start) for each in waiting}
        keys = {line.key for lines in waiting.values() for line in lines}
        self.turn = {key: turn for key, turn in self.turn.items() if key in keys}

    def _take(self, waiting: dict[str, list[Flow[Item]]], workspace: str) -> Item | None:
        """Take from the workspace's line whose turn it is; a line that gives nothing is dropped."""
        lines = waiting[workspace]
        line = min(lines, key=lambda each: (-each.priority, self.turn.get(each.key, 0), each.key))
        item = line.source.next()
        if item is None:
            lines.remove(line)
            if not lines:
                del waiting[workspace]
            return None
        self.clock += 1
        self.turn[line.key] = self.clock
        return item
