"""What is held for a job at each place of its plan, and why that much. Pure.

The asked or likely output counts, not the most that a model could write: a hold is for what will
probably be used, and the settlement charges what was.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from broker import pricing
from broker.completion import Json
from broker.operations import WITHOUT_OUTPUT, Operation
from broker.routing import Endpoint, Plan

UNSTATED_HOLD_NANOS = 10_000_000
"""One cent, for a call whose price the provider tells with its answer only."""


@dataclass(frozen=True, slots=True)
class Quotes:
    """Nano-dollars by place, and the tokens they stand for."""

    nanos: Sequence[int]
    input_tokens: int
    output_tokens: int  # held at most, at an endpoint that can write as much
    asked_tokens: int | None  # what the body asks for, if it says

    def __str__(self) -> str:
        """The sum in words, for whoever cannot afford it."""
        if not self.output_tokens:
            return f"about {self.input_tokens:,} input tokens"
        if self.asked_tokens is None:
            why = "a likely answer, as max_tokens is not set"
        elif self.asked_tokens > self.output_tokens:
            why = f"the most that is held, of the {self.asked_tokens:,} asked for"
        else:
            why = "as asked"
        return f"about {self.input_tokens:,} input and {self.output_tokens:,} output tokens ({why})"


def quotes(
    body: Json,
    operation: Operation,
    plan: Plan,
    *,
    inputs: int,
    likely: int,
    most: int,
    fee: str = "0",
) -> Quotes:
    """Return what to hold: `likely` output tokens where none are asked, and never above `most`.

    Of what the caller's own key pays only our part is held: `fee` per cent.
    """
    outputs, asked = 0, None
    if operation not in WITHOUT_OUTPUT:
        outputs = pricing.asked_output_tokens(body, likely=likely)
        if body.get("max_completion_tokens") or body.get("max_tokens"):
            asked = outputs
        outputs = min(outputs, most * int(body.get("n") or 1))
    places = [plan[place] for place in range(len(plan))]
    nanos = tuple(_held(each, _quote(each, inputs, outputs, body), fee) for each in places)
    return Quotes(nanos, inputs, outputs, asked)


def _held(endpoint: Endpoint, nanos: int, fee: str) -> int:
    return pricing.byok_fee(nanos, fee) if endpoint.is_byok else nanos


def _quote(endpoint: Endpoint, inputs: int, outputs: int, body: Json) -> int:
    if endpoint.price.as_stated:
        return UNSTATED_HOLD_NANOS
    can = endpoint.max_completion_tokens
    if can is not None:
        outputs = min(outputs, can * int(body.get("n") or 1))
    return pricing.quote(endpoint.price, input_tokens=inputs, output_tokens=outputs)
