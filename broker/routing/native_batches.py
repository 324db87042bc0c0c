"""Choose jobs for native batches, and their plan step. Pure.

A batch API is declared: `batches` of a vendor (`catalog/vendors.toml`) or of a `[[providers]]`
table names it, and `BATCH_OPERATIONS` lists its operations. `workers.native_batches` calls it.
"""

from dataclasses import replace
from typing import TypedDict

from broker.completion import Json
from broker.errors import InvalidRequestError
from broker.pricing import BATCH_TIER, Price
from broker.queues import NATIVE_LANE
from broker.requests.operations import DEFAULT_INTERFACES, Interface, Operation
from broker.routing.plans import Plan

DEFAULT_DISCOUNT_PERCENT = 50
"""The discount of native batches when the catalog has none."""

BATCH_OPERATIONS: dict[str, frozenset[Operation]] = {
    "openai": frozenset({Operation.CHAT, Operation.EMBEDDINGS, Operation.COMPLETIONS}),
    "groq": frozenset({Operation.CHAT}),
    "mistral": frozenset({Operation.CHAT, Operation.EMBEDDINGS}),
    "anthropic": frozenset({Operation.CHAT}),
    "gemini": frozenset({Operation.CHAT}),
}
"""Operations by batch API. A test compares it with the workers' registry."""


class NativeColumns(TypedDict, total=False):
    """The columns of a job's row that the lane `native` changes."""

    lane: str
    position: int
    provider: str


def apply_batch_discount(price: Price) -> Price:
    """Return the price in a native batch, with the default discount if none is known."""
    discount = price.batch_discount or DEFAULT_DISCOUNT_PERCENT
    tiers = tuple(replace(tier, price=apply_batch_discount(tier.price)) for tier in price.tiers)
    return replace(price, batch_discount=discount, tiers=tiers)


RESPONSES_APIS = frozenset({"openai"})
"""Batch APIs with lines for `/v1/responses`."""


def supports(api: str | None, operation: Operation, interface: Interface) -> bool:
    """Return whether this batch API serves the operation of a model behind this interface.

    None is no batch API.
    """
    if api is None or operation not in BATCH_OPERATIONS.get(api, ()):
        return False
    return interface in DEFAULT_INTERFACES or (
        interface is Interface.RESPONSES and api in RESPONSES_APIS
    )


def choose_columns(
    body: Json, plan: Plan, *, time_left_ms: int | None, min_ms: int
) -> NativeColumns:
    """Return the columns of a job for the native lane; none for other jobs.

    `time_left_ms` is the time until the caller's deadline, if one was set. With `provider.prefer:
    "cheapest"` it must be at least `min_ms`. A job stays in its ordinary lane if no endpoint of the
    first model has a batch API. Raises InvalidRequestError for a stream in the batch tier.
    """
    is_requested = body.get("service_tier") == BATCH_TIER
    if is_requested and body.get("stream"):
        raise InvalidRequestError(
            'A provider\'s batch does not stream: leave out `stream` or `service_tier: "batch"`.',
            param="stream",
        )
    is_low_priority = (
        time_left_ms is not None and time_left_ms >= min_ms and _prefers_cheapest(body)
    )
    if not (is_requested or is_low_priority) or body.get("stream"):
        return {}
    step = _find_native_step(plan)
    if step is None:
        return {}
    return {"lane": NATIVE_LANE, "position": step, "provider": plan[step].provider}


def _prefers_cheapest(body: Json) -> bool:
    provider = body.get("provider")
    return isinstance(provider, dict) and provider.get("prefer") == "cheapest"


def _find_native_step(plan: Plan) -> int | None:
    """Return the first step of the first model whose provider batches this operation."""
    for step in range(len(plan)):
        if plan[step].model != plan[0].model:
            return None
        if plan[step].batched:
            return step
    return None
