"""The costs of plan steps: a step needs a hold that covers it, extended if necessary.

Deferrals, retries after a failure and skips of open circuits all use it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from broker.billing.funds import FundsCheck, HoldRequest, Payer


@dataclass(frozen=True, slots=True)
class StepCosts:
    """The quotes of a job's plan steps, and the hold of the job. All in nano-dollars."""

    quotes: Sequence[int]  # empty for a job that holds nothing
    position: int  # the plan step that the job is at
    hold_nanos: int

    def missing(self, position: int) -> int:
        """Return the addition to the hold that a plan step needs.

        The hold covers the step that the job was accepted for, even if it is below that quote.
        """
        covered = max(self.hold_nanos, self._quote(self.position))
        return max(self._quote(position) - covered, 0)

    def reserve(self, position: int, payer: Payer, funds: FundsCheck) -> int | None:
        """Reserve the addition to the hold in `funds` and return it; None if it cannot be paid."""
        more = self.missing(position)
        if not more:
            return 0
        return more if isinstance(funds.take(payer, HoldRequest(more, more)), int) else None

    def _quote(self, position: int) -> int:
        return self.quotes[position] if position < len(self.quotes) else 0
