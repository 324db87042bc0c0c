"""The body of POST /analytics/query as a question to the rollups; every name is checked."""

from collections.abc import Collection, Mapping

from api.core.scope import UsageScope
from api.usage.schemas import AnalyticsFilter, AnalyticsQuery
from broker import usage
from broker.errors import InvalidRequestError
from broker.usage import Condition, Question

DEFAULT_DAYS_MS = 30 * 24 * 3_600_000


def question(asked: AnalyticsQuery, scope: UsageScope, now: int) -> Question:
    """Return what is asked, one row more than the limit. Raises InvalidRequestError."""
    for name in asked.metrics:
        _known("metrics", name, usage.METRICS)
    for name in asked.dimensions:
        _known("dimensions", name, usage.DIMENSIONS)
    if asked.granularity is not None:
        _known("granularity", asked.granularity, usage.GRANULARITIES)
    order = asked.order_by
    if order is not None:
        date = ["date"] if asked.granularity else []
        _known("order_by.field", order.field, [*asked.metrics, *asked.dimensions, *date])
    start, end = _range(asked, now)
    return Question(
        metrics=list(dict.fromkeys(asked.metrics)),
        start=start,
        end=end,
        workspace_ids=scope.workspace_ids,
        key_ids=scope.key_ids,
        dimensions=list(dict.fromkeys(asked.dimensions)),
        conditions=[_condition(each) for each in asked.filters],
        granularity=asked.granularity,
        order_by=None if order is None else order.field,
        ascending=order is not None and order.direction == "asc",
        limit=asked.limit + 1,
    )


def _range(asked: AnalyticsQuery, now: int) -> tuple[int, int]:
    if asked.time_range is None:
        return now - DEFAULT_DAYS_MS, now + 1
    start, end = (
        int(each.timestamp() * 1000) for each in (asked.time_range.start, asked.time_range.end)
    )
    if start >= end:
        raise InvalidRequestError("time_range: end must be after start.", param="time_range")
    return start, end


def _condition(each: AnalyticsFilter) -> Condition:
    _known("filters.field", each.field, usage.DIMENSIONS)
    _known("filters.operator", each.operator, usage.FILTERS)
    takes_list = each.operator in usage.LISTS
    if takes_list is not isinstance(each.value, list):
        wanted = "a list" if takes_list else "one value"
        raise InvalidRequestError(
            f"filters.value: {each.operator} takes {wanted}.", param="filters.value"
        )
    return Condition(each.field, each.operator, each.value)


def _known(param: str, name: str, names: Mapping[str, object] | Collection[str]) -> None:
    if name not in names:
        raise InvalidRequestError(f"{param}: {name!r} is none of {', '.join(names)}.", param=param)
