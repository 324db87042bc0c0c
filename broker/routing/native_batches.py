"""Choose the jobs for native batches, and the plan step. Pure.

A batch API is declared: `batches` of a vendor (`catalog/vendors.toml`) or of a `[[providers]]`
table names it, `BATCHED` says what it takes. The workers' translators are in `native_batches`.
"""

from dataclasses import replace
from typing import TypedDict

from broker.completion import Json
from broker.errors import InvalidRequestError
from broker.pricing import BATCH_TIER, Price
from broker.queues import NATIVE_LANE
from broker.requests.operations import Operation
from broker.routing.plans import Plan

USUAL_DISCOUNT_PERCENT = 50
"""The discount of native batches when the catalog has none."""

BATCHED: dict[str, frozenset[Operation]] = {
    "openai": frozenset({Operation.CHAT, Operation.EMBEDDINGS, Operation.COMPLETIONS}),
    "groq": frozenset({Operation.CHAT}),
    "mistral": frozenset({Operation.CHAT, Operation.EMBEDDINGS}),
    "anthropic": frozenset({Operation.CHAT}),
    "gemini": frozenset({Operation.CHAT}),
}
"""By batch API. A test holds it against the workers' registry."""


class NativeColumns(TypedDict, total=False):
    """The columns of a job's row that the lane `native` changes."""

    lane: str
    position: int
    provider: str


def in_batch(price: Price) -> Price:
    """Return the price of an endpoint's batch lane, with the usual discount where none is known."""
    usual = price.batch_discount or USUAL_DISCOUNT_PERCENT
    tiers = tuple(replace(tier, price=in_batch(tier.price)) for tier in price.tiers)
    return replace(price, batch_discount=usual, tiers=tiers)


def takes(api: str | None, operation: Operation) -> bool:
    """Return whether this batch API (None: there is none) takes the operation."""
    return api is not None and operation in BATCHED.get(api, ())


def columns(body: Json, plan: Plan, *, time_left_ms: int | None, least_ms: int) -> NativeColumns:
    """Return the columns of a job that goes into the native lane; none for one that does not.

    `patience_ms` is how far away the deadline is that the caller named, if one was: with
    `provider.prefer: "cheapest"` it must be `least_ms` at least. Where no endpoint of the first
    model has a batch API the job takes its ordinary lane. Raises InvalidRequestError for a stream
    that asks for the batch tier.
    """
    asked = body.get("service_tier") == BATCH_TIER
    if asked and body.get("stream"):
        raise InvalidRequestError(
            'A provider\'s batch does not stream: leave out `stream` or `service_tier: "batch"`.',
            param="stream",
        )
    is_low_priority = (
        time_left_ms is not None and time_left_ms >= least_ms and _prefers_cheapest(body)
    )
    if not (asked or is_low_priority) or body.get("stream"):
        return {}
    step = _native_step(plan)
    if step is None:
        return {}
    return {"lane": NATIVE_LANE, "position": step, "provider": plan[step].provider}


def _prefers_cheapest(body: Json) -> bool:
    provider = body.get("provider")
    return isinstance(provider, dict) and provider.get("prefer") == "cheapest"


def _native_step(plan: Plan) -> int | None:
    """Return the first step of the first model whose provider batches this operation."""
    for step in range(len(plan)):
        if plan[step].model != plan[0].model:
            return None
        if plan[step].batched:
            return step
    return None
