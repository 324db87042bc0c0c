"""The target depth of queues: twice what workers took since the last poll. Pure.

Free slots at a provider do not mean that workers use them. The depth doubles while workers take all
jobs, and stays low while the workers are slow. So no job waits behind a long queue, and a lost
worker takes few messages with it.
"""

from dataclasses import dataclass, field

LEAST_AHEAD = 64
GROWTH = 2


@dataclass(slots=True)
class QueueDepths:
    """The number of jobs on each provider's queues at the end of the last poll."""

    depths: dict[str, int] = field(default_factory=dict)  # by provider

    def find_room(self, provider: str, on_queue: int, most: int) -> int:
        """Return how many more jobs to publish; at most `most` are on the queues then."""
        taken = max(self.depths.get(provider, 0) - on_queue, 0)
        return min(most, max(GROWTH * taken, LEAST_AHEAD)) - on_queue

    def record(self, provider: str, on_queue: int) -> None:
        """Record how many jobs are on a provider's queues now."""
        self.depths[provider] = on_queue
