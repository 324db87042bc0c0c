"""What the leader does for the books: seals new ledger entries, tells when budgets are used up."""

import structlog
from redis.exceptions import RedisError

from broker import ledger, reports, signals
from broker.budget_notices import notify_many
from broker.clock import now_ms
from workers.context import WorkerContext

CHAIN_LOOKS = 5  # one after another, until the next tick

log = structlog.get_logger()


async def chain_entries(tools: WorkerContext) -> None:
    """Chain what was booked since the last look, and count the jobs that ended with it."""
    for _ in range(CHAIN_LOOKS):
        sealed = await tools.database.write_grouped(ledger.seal_many, now_ms(), patient=True)
        if sealed.ended:
            await _count(tools, sealed)
        if sealed.entries < ledger.SEAL_GROUP:
            return


async def _count(tools: WorkerContext, sealed: ledger.Sealed) -> None:
    ends = await tools.database.read(reports.ends, sealed.ended)
    try:
        await signals.count_ended(tools.redis, ends)
    except (RedisError, OSError) as error:  # a count that is lost stays lost
        log.info("metrics.not_counted", jobs=len(sealed.ended), error=str(error))


async def announce_budgets(tools: WorkerContext) -> None:
    """Announce the thresholds that spending has reached."""
    await tools.database.write_grouped(notify_many, now_ms())
