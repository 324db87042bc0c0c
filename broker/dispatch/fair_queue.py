"""The fair queue: weighted turns of workspaces, then of their batches, then by age. Pure.

Workspaces take turns by stride scheduling (Waldspurger and Weihl, 1995). Each has a counter of how
far it has been served, to which a job adds one divided by the weight. The workspace with the lowest
counter is next. A new workspace starts at the lowest counter of the others, so that a workspace
gains nothing by waiting.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)


class Source(Protocol[Item_co]):
    """The jobs of a flow, in order."""

    def next(self) -> Item_co | None:
        """Take the next job; None if no further one may be published now."""


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
    """The turns at one provider and lane, of the workspaces and flows in which jobs wait."""

    served: dict[str, float] = field(default_factory=dict)  # by workspace
    turn: dict[str, int] = field(default_factory=dict)  # by flow: when it was last served
    clock: int = 0

    def choose(
        self, flows: Iterable[Flow[Item]], weights: Mapping[str, float], room: int
    ) -> list[Item]:
        """Take up to `room` jobs from these flows, in turns."""
        waiting: dict[str, list[Flow[Item]]] = {}
        for flow in flows:
            waiting.setdefault(flow.workspace_id, []).append(flow)
        self._update(waiting)
        chosen: list[Item] = []
        while waiting and len(chosen) < room:
            workspace = min(waiting, key=lambda each: (self.served[each], each))
            item = self._take(waiting, workspace)
            if item is not None:
                chosen.append(item)
                self.served[workspace] += 1 / weights.get(workspace, 1)
        return chosen

    def _update(self, waiting: Mapping[str, list[Flow[Item]]]) -> None:
        """Drop workspaces without waiting jobs; start new ones at the lowest counter."""
        known = {each: self.served[each] for each in waiting if each in self.served}
        start = min(known.values(), default=0.0)
        self.served = {each: known.get(each, start) for each in waiting}
        keys = {flow.key for flows in waiting.values() for flow in flows}
        self.turn = {key: turn for key, turn in self.turn.items() if key in keys}

    def _take(self, waiting: dict[str, list[Flow[Item]]], workspace: str) -> Item | None:
        """Take a job from the flow whose turn it is; drop a flow that has none for now."""
        flows = waiting[workspace]
        flow = min(flows, key=lambda each: (-each.priority, self.turn.get(each.key, 0), each.key))
        item = flow.source.next()
        if item is None:
            flows.remove(flow)
            if not flows:
                del waiting[workspace]
            return None
        self.clock += 1
        self.turn[flow.key] = self.clock
        return item
