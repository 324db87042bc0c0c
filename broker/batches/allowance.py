"""Lines of limited keys: as many are taken in as their limits let in now, the others wait.

Each line is a request, and an open job until it ends. Calls go before batches: a share of every
limit is left to them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from broker.accounts import Principal
from broker.batches.intake import ReadLine
from broker.rate_limits import Limit, Limiter, limits_of
from broker.settings import Settings

CALLS_SHARE = 5  # one part in so many of a limit is left to calls


@dataclass(frozen=True, slots=True)
class Allowed:
    """The lines at the beginning that may be taken in, and what was counted for their jobs."""

    lines: Sequence[ReadLine]
    counted: Mapping[str, Sequence[Limit]]  # by job id


async def let_in(
    limiter: Limiter, lines: Sequence[ReadLine], principal: Principal, settings: Settings, now: int
) -> Allowed:
    """Count lines against their key's and workspace's limits, up to the first that is full."""
    counted: dict[str, Sequence[Limit]] = {}
    for place, line in enumerate(lines):
        if line.job is None:
            continue
        job = line.job
        limits = limits_of(principal, job.row, settings, is_free=job.is_free)
        if not limits:
            continue
        limits = [_less_the_calls_share(limit) for limit in limits]
        if await limiter.take(limits, line.job.id, now) is not None:
            return Allowed(lines[:place], counted)
        counted[line.job.id] = limits
    return Allowed(lines, counted)


async def give_back(limiter: Limiter, allowed: Allowed, made: Collection[str], now: int) -> None:
    """Uncount the lines of which no job was made."""
    for job_id, limits in allowed.counted.items():
        if job_id not in made:
            await limiter.give_back(limits, job_id, now)


def _less_the_calls_share(limit: Limit) -> Limit:
    return replace(limit, most=limit.most - limit.most // CALLS_SHARE)
