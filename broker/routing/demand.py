"""What a request needs of an endpoint, whatever its caller prefers."""

from dataclasses import dataclass

LIKELY_OUTPUT = 1_000
"""Output tokens to compare prices and speeds by, where the body names no fewer."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a request cannot be served without, and how large it is."""

    modalities: frozenset[str] = frozenset()  # input beside text
    outputs: frozenset[str] = frozenset()  # output; of a chat at least text
    parameters: frozenset[str] = frozenset()  # what the body sets
    must: frozenset[str] = frozenset()  # those of them without which the answer is another one
    input_tokens: int = 0  # estimated
    output_tokens: int | None = None  # the most that was asked for
    shortened_up_to: int = 0  # a prompt too long for a context of this size is made to fit it

    @property
    def likely_output(self) -> int:
        return min(self.output_tokens or LIKELY_OUTPUT, LIKELY_OUTPUT)


NO_NEEDS = Needs()
