"""How far ahead queues are fed: what was taken from them since the last look, and as much again.

Free slots at a provider do not say that workers come to use them. A feed that follows what is taken
doubles as long as all of it is, and stays shallow where the workers are what is slow: so that
nothing waits behind a long queue, and little is lost with a worker. Pure.
"""

from dataclasses import dataclass, field

LEAST_AHEAD = 64
GROWTH = 2


@dataclass(slots=True)
class Feeding:
    """What was left on each provider's queues at the last look."""

    left: dict[str, int] = field(default_factory=dict)

    def room(self, provider: str, on_queue: int, most: int) -> int:
        """Return how many more jobs to feed, so that no more than `most` are on the queues."""
        taken = max(self.left.get(provider, 0) - on_queue, 0)
        return min(most, max(GROWTH * taken, LEAST_AHEAD)) - on_queue

    def fed(self, provider: str, on_queue: int) -> None:
        """Remember how many there are now."""
        self.left[provider] = on_queue
