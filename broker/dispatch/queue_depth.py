"""The target depth of queues: twice what workers took since the last look. Pure.

Free slots at a provider do not mean that workers use them. The depth doubles while workers take all
jobs, and stays low while the workers are slow. So no job waits behind a long queue, and a lost
worker takes few messages with it.
"""

from dataclasses import dataclass, field

LEAST_AHEAD = 64
GROWTH = 2


@dataclass(slots=True)
class Feeding:
    """The depth of each provider's queues at the last poll."""

    left: dict[str, int] = field(default_factory=dict)

    def room(self, provider: str, on_queue: int, most: int) -> int:
        """Return how many more jobs to feed, so that no more than `most` are on the queues."""
        taken = max(self.left.get(provider, 0) - on_queue, 0)
        return min(most, max(GROWTH * taken, LEAST_AHEAD)) - on_queue

    def fed(self, provider: str, on_queue: int) -> None:
        """Remember how many there are now."""
        self.left[provider] = on_queue
