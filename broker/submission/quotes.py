"""Quote the hold of a job at each step of its plan. Pure.

Two sums are computed. `nanos` is an upper bound of the charge: it counts every byte as a token and
the longest answer that was asked for, or that the model gives. `least` is what the job probably
costs. The purse (`spending`) holds the bound; a single call that is only likely to be covered is
let through while nothing else is held.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from broker import pricing, routing
from broker.completion import Json
from broker.pricing import AnswerBounds, Demand, Price
from broker.providers.endpoints import Endpoint
from broker.requests import token_estimates
from broker.requests.content_sizes import measure
from broker.requests.operations import Operation
from broker.routing import Plan

UNSTATED_LEAST_NANOS = 10_000_000
"""One cent: likely for a call whose price the provider tells with its answer only."""

UNSTATED_PRICE = Price(prompt=15 * 10**9, completion=75 * 10**9)
"""The price held for such a call: that of the most expensive ordinary models."""


@dataclass(frozen=True, slots=True)
class Quotes:
    """Nano-dollars by place, and what they stand for at the first one."""

    nanos: Sequence[int]  # an upper bound
    least: Sequence[int]  # what is likely
    likely: str = ""  # what `least` stands for, in words
    bound: str = ""  # likewise what `nanos` stands for

    def keeping(self, places: Sequence[int]) -> "Quotes":
        """Return the quotes of these places only."""
        nanos = tuple(self.nanos[place] for place in places)
        return replace(self, nanos=nanos, least=tuple(self.least[place] for place in places))


def quotes(
    body: Json, operation: Operation, plan: Plan, *, likely: int, most: int, fee: str = "0"
) -> Quotes:
    """Return what to hold where a body that sets no limit writes `likely` tokens.

    It writes as many as the endpoint can, at most, and `most` where nobody knows how many that
    is. Of what the caller's own key pays only our part is held: `fee` per cent.
    """
    sent = measure(body)
    first: Demand | None = None
    nanos, least = [], []
    for place in range(len(plan)):
        endpoint = plan[place]
        asked, measured = body, sent
        if options := routing.read_provider_options(body, endpoint.provider):
            asked = body | options
            measured = measure(asked)
        expected = pricing.demand(asked, operation, measured, _limits(endpoint, likely, most))
        first = first or expected
        bound, probable = _quote(endpoint, expected)
        if endpoint.is_byok:
            bound, probable = pricing.byok_fee(bound, fee), pricing.byok_fee(probable, fee)
        nanos.append(bound)
        least.append(min(probable, bound))
    if first is None:
        return Quotes((), ())
    is_asked = token_estimates.output_limit(body) is not None
    return Quotes(
        tuple(nanos),
        tuple(least),
        pricing.describe(first.likely, "as asked" if is_asked else "a likely answer"),
        pricing.describe(first.most, "as asked" if is_asked else "max_tokens is not set"),
    )


def _limits(endpoint: Endpoint, likely: int, most: int) -> AnswerBounds:
    return AnswerBounds(
        likely,
        endpoint.max_completion_tokens or most,
        endpoint.native,
        makes_pictures="image" in endpoint.output_modalities,
    )


def _quote(endpoint: Endpoint, expected: Demand) -> tuple[int, int]:
    if endpoint.price.as_stated:
        return pricing.most_cost(UNSTATED_PRICE, expected), UNSTATED_LEAST_NANOS
    return (
        pricing.most_cost(endpoint.price, expected),
        pricing.likely_cost(endpoint.price, expected),
    )
