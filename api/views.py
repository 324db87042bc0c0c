"""Objects as callers see them, made from rows."""

from typing import Any

from broker.job_view import job, job_summary, job_urls
from broker.money import usd

__all__ = ["cost", "job", "job_summary", "job_urls"]


def cost(row: Any) -> float | None:
    """What a listed job cost in US dollars; None while nothing was charged."""
    return None if row.cost_nanos is None else usd(row.cost_nanos)
