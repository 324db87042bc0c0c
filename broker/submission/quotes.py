"""Quote the hold of a job at each step of its plan. Pure.

Two sums are computed. `nanos` is an upper bound of the charge: it counts every byte as a token, and
the longest answer that the request or the model allows. `least` is the probable cost. The hold
(`billing.funds`) is the bound; a single call whose probable cost is covered is accepted while
nothing else is held.
"""

from collections.abc import Sequence
from dataclasses import replace

from broker import pricing, routing
from broker.completion import Json
from broker.pricing import AnswerBounds, Demand, Price
from broker.providers.endpoints import Endpoint
from broker.requests import token_estimates
from broker.requests.content_sizes import measure
from broker.requests.operations import Operation
from broker.routing import Plan
from broker.values import immutable

UNSTATED_LEAST_NANOS = 10_000_000
"""The probable cost (one cent) of a call whose price the provider states in its answer only."""

UNSTATED_PRICE = Price(prompt=15 * 10**9, completion=75 * 10**9)
"""The price for the hold of such a call: that of the most expensive ordinary models."""


@immutable
class Quotes:
    """Nano-dollars by plan step, with descriptions of those at the first step."""

    nanos: Sequence[int]  # an upper bound
    least: Sequence[int]  # the probable cost
    likely: str = ""  # a description of `least`
    bound: str = ""  # a description of `nanos`

    def select(self, positions: Sequence[int]) -> "Quotes":
        """Return the quotes of these plan steps only."""
        nanos = tuple(self.nanos[position] for position in positions)
        return replace(
            self, nanos=nanos, least=tuple(self.least[position] for position in positions)
        )


def compute_quotes(
    body: Json, operation: Operation, plan: Plan, *, likely: int, most: int, fee: str = "0"
) -> Quotes:
    """Return the quotes of a body; an answer without a limit has probably `likely` tokens.

    Its bound is the endpoint's longest answer, or `most` tokens if that is unknown. With a
    workspace credential only the fee is held: `fee` per cent.
    """
    body_size = measure(body)
    first: Demand | None = None
    nanos, least = [], []
    for position in range(len(plan)):
        endpoint = plan[position]
        request, size = body, body_size
        if options := routing.read_provider_options(body, endpoint.provider):
            request = body | options
            size = measure(request)
        expected = pricing.estimate_demand(
            request, operation, size, _build_bounds(endpoint, likely, most)
        )
        first = first or expected
        bound, likely_cost = _quote_endpoint(endpoint, expected)
        if endpoint.is_byok:
            bound, likely_cost = pricing.byok_fee(bound, fee), pricing.byok_fee(likely_cost, fee)
        nanos.append(bound + (plan.ocr.max_nanos if plan.ocr else 0))
        least.append(min(likely_cost, bound) + _quote_likely_ocr(plan, first))
    if first is None:
        return Quotes((), ())
    is_limited = token_estimates.output_limit(body) is not None
    return Quotes(
        tuple(nanos),
        tuple(least),
        pricing.describe_usage(first.likely, "as asked" if is_limited else "a likely answer"),
        pricing.describe_usage(first.most, "as asked" if is_limited else "max_tokens is not set"),
    )


def _quote_likely_ocr(plan: Plan, expected: Demand) -> int:
    if plan.ocr is None:
        return 0
    pages = max(expected.likely.input_pages or 0, 1)
    return plan.ocr.page_nanos * min(pages, plan.ocr.max_pages)


def _build_bounds(endpoint: Endpoint, likely: int, most: int) -> AnswerBounds:
    modalities = endpoint.input_modalities or frozenset()
    return AnswerBounds(
        likely,
        endpoint.max_completion_tokens or most,
        endpoint.native,
        makes_pictures="image" in endpoint.output_modalities,
        draws_pages="image" in modalities and "file" not in modalities,
    )


def _quote_endpoint(endpoint: Endpoint, expected: Demand) -> tuple[int, int]:
    if endpoint.price.as_stated:
        return pricing.compute_max_cost(UNSTATED_PRICE, expected), UNSTATED_LEAST_NANOS
    return (
        pricing.compute_max_cost(endpoint.price, expected),
        pricing.compute_likely_cost(endpoint.price, expected),
    )
