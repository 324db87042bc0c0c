"""What the leader does for the books: seals new ledger entries, tells when budgets are used up."""

from broker import ledger
from broker.budget_notices import notify_many
from broker.clock import now_ms
from workers.toolbox import Toolbox


async def seal(tools: Toolbox) -> None:
    """Chain what was booked since the last look."""
    await tools.database.write(ledger.seal_many, now_ms())


async def tell_budgets(tools: Toolbox) -> None:
    """Announce the thresholds that spending has reached."""
    await tools.database.write(notify_many, now_ms())
