"""Tables of changes, offers and prices."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from broker.catalog.imports import Change, ImportedOffer, Kind
from broker.completion import Usage
from broker.money import usd_text
from broker.pricing import Price, cost
from cli.output import Table, open_console

SHOWN = ("prompt", "completion", "cache_read", "cache_write", "reasoning", "audio")


def show_changes(changes: Sequence[Change], *, everything: bool) -> None:
    """Print what would change; new endpoints and facts only with `everything`."""
    shown = [each for each in changes if everything or each.kind in (Kind.PRICE, Kind.WITHDRAWN)]
    table = Table("provider:model", "what", "USD per million tokens", "", box=None, pad_edge=False)
    for change in shown:
        table.add_row(change.name, change.kind.value, _difference(change), change.doubt or "")
    if shown:
        open_console().print(table)
    counted = Counter(change.kind for change in changes)
    summary = ", ".join(f"{counted[kind]} {kind.value}" for kind in Kind if counted[kind])
    open_console().print(summary or "nothing would change")


def show_history(offers: Iterable[ImportedOffer]) -> None:
    table = Table("from", "source", "USD per million tokens", box=None, pad_edge=False)
    for each in offers:
        price = each.offer.endpoint.price if each.offer else None
        table.add_row(day(each.effective_from), each.source, describe_price(price))
    open_console().print(table)


def describe_price(price: Price | None) -> str:
    """Return a price in words, in US dollars per million tokens."""
    if price is None:
        return "withdrawn"
    if price.as_stated:
        return "as the provider charges"
    stated = [(name, getattr(price, name)) for name in SHOWN if getattr(price, name) is not None]
    prices = ", ".join(f"{name.replace('_', ' ')} {usd_text(value)}" for name, value in stated)
    tiers = ", ".join(
        f"from {tier.min_prompt_tokens:,} tokens: {describe_price(tier.price)}"
        for tier in price.tiers
    )
    batch = f", batch -{price.batch_discount}%" if price.batch_discount else ""
    return prices + batch + (f"; {tiers}" if tiers else "")


def sample_bill(price: Price) -> str:
    """Return the cost of a usual call, which shows a wrong unit."""
    return usd_text(cost(price, Usage(input=1_000, output=500)))


def day(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(" ", "minutes")[:16]


def _difference(change: Change) -> str:
    after = change.offer.endpoint.price if change.offer else None
    if change.before is None or after is None or change.kind is Kind.FACTS:
        return describe_price(after)
    changed = [
        (name, getattr(change.before, name), getattr(after, name))
        for name in SHOWN
        if getattr(change.before, name) != getattr(after, name)
    ]
    prices = [
        f"{name.replace('_', ' ')} {_amount(old)} → {_amount(new)}" for name, old, new in changed
    ]
    return ", ".join(prices) or "other prices"


def _amount(nanos: int | None) -> str:
    return "-" if nanos is None else usd_text(nanos)
