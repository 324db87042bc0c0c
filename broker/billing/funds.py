"""Check that an amount may be held: balance, key limit and budgets under one workspace lock."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from broker.billing import budgets, ledger
from broker.billing.budgets import BudgetLimit
from broker.billing.ledger import LedgerTotals
from broker.clock import moment
from broker.enums import BudgetScope
from broker.errors import BudgetExceededError, InsufficientCreditsError, WaybillError
from broker.money import usd
from broker.usage import ends_at

RETRY_AFTER_SECONDS = 5  # until open holds are probably settled


class PayingJob(Protocol):
    """A row of `jobs` with the `unlimited` flag of its workspace."""

    workspace_id: str
    api_key_id: str
    unlimited: bool


@dataclass(frozen=True, slots=True)
class Payer:
    """The workspace and key that pay for a job."""

    workspace_id: str
    api_key_id: str
    unlimited: bool  # the balance never refuses
    budgeted: bool  # there may be limits besides the balance

    @classmethod
    def of(cls, job: PayingJob) -> "Payer":
        """Return the payer of a job whose hold is extended; all present limits count."""
        return cls(job.workspace_id, job.api_key_id, job.unlimited, budgeted=True)


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """The amount that a job should hold, and the least that suffices, in nano-dollars."""

    nanos: int  # an upper bound of the cost
    least: int  # the likely cost
    bound: str = "a fallback"  # the reason of the bound, for messages
    likely: str = "a fallback"  # the reason of the likely cost

    def fits(self, left: int, held: int) -> bool:
        """Return whether it fits: in full, or at its likely cost if nothing else is held."""
        return left >= self.nanos or (held <= 0 and self.would_fit(left))

    def would_fit(self, left: int) -> bool:
        """Return whether the likely cost would fit if nothing else were held."""
        return left > 0 and left >= self.least

    def describe(self, *, in_flight: bool) -> str:
        """Return a sentence about the bound, if only that is too high, or the likely cost."""
        use_bound = in_flight or not self.least
        nanos, why = (self.nanos, self.bound) if use_bound else (self.least, self.likely)
        return f"This job may cost {usd(nanos):.6f} USD ({why})"


class FundsCheck:
    """The amounts that payers may still hold, valid until the transaction ends."""

    def __init__(
        self, balances: dict[str, LedgerTotals], limits: list[BudgetLimit], now: int
    ) -> None:
        self._left = {id_: totals.available for id_, totals in balances.items()}
        self._held = {id_: totals.held for id_, totals in balances.items()}
        self._limits = limits
        self._now = now

    @classmethod
    def open(cls, connection: Connection, payers: Iterable[Payer], now: int) -> "FundsCheck":
        """Lock and read the balances and limits of these payers; unlimited ones cost no query."""
        all_payers = list(payers)
        counted = {each.workspace_id for each in all_payers if not each.unlimited}
        budgeted = [each for each in all_payers if each.budgeted]
        if not budgeted:
            return cls(ledger.lock_totals(connection, counted), [], now)
        workspaces = {each.workspace_id for each in budgeted}
        ledger.lock(connection, counted | workspaces)
        keys = {each.api_key_id for each in budgeted}
        limits = budgets.limits_of(connection, workspaces, keys, soft=False)
        budgets.fill(connection, limits, now)
        return cls(ledger.totals(connection, counted), limits, now)

    def take(self, payer: Payer, need: HoldRequest) -> int | WaybillError:
        """Return the amount to hold in nano-dollars, or the error that refuses it.

        If the likely cost fits but the bound does not, the job may run while nothing else is held,
        and it holds all that remains. Charges therefore exceed a limit by one call at most, and by
        no more than its bound.
        """
        limits = [
            limit
            for limit in self._limits
            if payer.budgeted and limit.applies_to(payer.workspace_id, payer.api_key_id)
        ]
        room = need.nanos
        if not payer.unlimited:
            left, held = self._left[payer.workspace_id], self._held[payer.workspace_id]
            if not need.fits(left, held):
                return self._no_credit(payer.workspace_id, need)
            room = min(room, left)
        for limit in limits:
            if not need.fits(limit.left, limit.held):
                return _over_limit(limit, need, self._now)
            room = min(room, limit.left)
        for limit in limits:
            limit.held += room
        if not payer.unlimited:
            self._left[payer.workspace_id] -= room
            self._held[payer.workspace_id] += room
        return room

    def _no_credit(self, workspace_id: str, need: HoldRequest) -> WaybillError:
        left, held = self._left[workspace_id], self._held[workspace_id]
        in_flight = need.would_fit(left + held)
        message = f"{need.describe(in_flight=in_flight)} and {usd(left):.6f} are left"
        if in_flight:
            error = InsufficientCreditsError(
                f"{message}, as {usd(held):.6f} are held for jobs that have not ended: try again "
                "in a moment, or add credits.",
                metadata={
                    "reason": "in_flight_budget_exhausted",
                    "limit_source": "openrouter_in_flight_budget",
                    "remedy_hint": "retry_after_settlement",
                },
            )
            error.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
            return error
        return InsufficientCreditsError(
            f"{message}: add credits, lower max_tokens, or choose a cheaper model.",
            metadata={
                "reason": "weight_exceeds_budget",
                "limit_source": "openrouter_credits",
                "remedy_hint": "add_credits_or_lower_max_tokens",
            },
        )


def _over_limit(limit: BudgetLimit, need: HoldRequest, now: int) -> WaybillError:
    """Return the error for a full limit: 402 for a key and 403 for a budget, as OpenRouter does."""
    until = ends_at(limit.reset, now)
    again = "" if until is None else f" It is reset at {moment(until)}."
    whose = "this key" if limit.scope is BudgetScope.KEY else f"the {limit.scope}"
    in_flight = need.would_fit(limit.nanos - limit.spent)
    message = (
        f"{need.describe(in_flight=in_flight)}, and the {limit.reset} limit of {whose}, "
        f"{usd(limit.nanos):g} USD, has {usd(max(limit.left, 0)):.6f} left "
        f"({usd(limit.spent):.6f} spent, {usd(limit.held):.6f} held for open jobs).{again}"
    )
    metadata = {
        "reason": "in_flight_budget_exhausted" if in_flight else "weight_exceeds_budget",
        "limit_source": "openrouter_key_limit"
        if limit.scope is BudgetScope.KEY
        else "openrouter_budget",
        "remedy_hint": "retry_after_settlement" if in_flight else "raise_limit_or_wait_for_reset",
        "budget": {
            "scope": limit.scope.value,
            "reset_interval": limit.reset.value,
            "limit_usd": usd(limit.nanos),
            "spend_usd": usd(limit.spent),
            "resets_at": None if until is None else moment(until),
        },
    }
    kind = InsufficientCreditsError if limit.scope is BudgetScope.KEY else BudgetExceededError
    error = kind(message, metadata=metadata)
    if in_flight:
        error.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return error
