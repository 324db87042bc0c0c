"""May this be held? One answer from balance, key limit and budgets, under the workspace's lock."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from broker.billing import budgets, ledger
from broker.billing.budgets import BudgetLimit, Scope
from broker.billing.ledger import LedgerTotals
from broker.clock import moment
from broker.errors import BudgetExceededError, InsufficientCreditsError, WaybillError
from broker.money import usd
from broker.usage import ends_at

COME_BACK_SECONDS = 5  # for holds to become settlements


class Paying(Protocol):
    """A row of `jobs`, with what its workspace may spend."""

    workspace_id: str
    api_key_id: str
    unlimited: bool


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose money it is."""

    workspace_id: str
    api_key_id: str
    unlimited: bool  # the balance never refuses
    budgeted: bool  # there may be limits besides the balance

    @classmethod
    def of(cls, job: Paying) -> "Payer":
        """Return who pays for a job that is to hold more: whatever limits there are now count."""
        return cls(job.workspace_id, job.api_key_id, job.unlimited, budgeted=True)


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """The amount that a job needs held, and the least that suffices."""

    nanos: int  # an upper bound of what it costs
    least: int  # what it probably costs
    bound: str = "a fallback"  # what the bound stands for, in words
    likely: str = "a fallback"

    def fits(self, left: int, held: int) -> bool:
        """Whether it may be held: in full, or as the only job, if it probably is covered."""
        return left >= self.nanos or (held <= 0 and self.would_fit(left))

    def would_fit(self, left: int) -> bool:
        """Whether it may be held where nothing else is: something must be left to hold."""
        return left > 0 and left >= self.least

    def words(self, *, in_flight: bool) -> str:
        """Say what it may cost: the bound where only that is too much, or nothing is likely."""
        use_bound = in_flight or not self.least
        nanos, why = (self.nanos, self.bound) if use_bound else (self.least, self.likely)
        return f"This job may cost {usd(nanos):.6f} USD ({why})"


class FundsCheck:
    """What payers may still hold, until the transaction ends."""

    def __init__(
        self, balances: dict[str, LedgerTotals], limits: list[BudgetLimit], now: int
    ) -> None:
        self._left = {id_: totals.available for id_, totals in balances.items()}
        self._held = {id_: totals.held for id_, totals in balances.items()}
        self._limits = limits
        self._now = now

    @classmethod
    def open(cls, connection: Connection, payers: Iterable[Payer], now: int) -> "FundsCheck":
        """Lock and look up what limits these payers: nothing, for those whom nothing limits."""
        everybody = list(payers)
        counted = {each.workspace_id for each in everybody if not each.unlimited}
        budgeted = [each for each in everybody if each.budgeted]
        ledger.lock(connection, counted | {each.workspace_id for each in budgeted})
        limits: list[BudgetLimit] = []
        if budgeted:
            workspaces = {each.workspace_id for each in budgeted}
            keys = {each.api_key_id for each in budgeted}
            limits = budgets.limits_of(connection, workspaces, keys, soft=False)
            budgets.fill(connection, limits, now)
        return cls(ledger.totals(connection, counted), limits, now)

    def take(self, payer: Payer, need: HoldRequest) -> int | WaybillError:
        """Hold what is needed and return how much that is, or say what does not allow it.

        Where the likely cost is left but the bound is not, the job may go while nothing else is
        held: then all that is left is held for it. So what is charged passes a limit by one call
        at most, and by no more than its bound.
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
        message = f"{need.words(in_flight=in_flight)} and {usd(left):.6f} are left"
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
            error.headers["Retry-After"] = str(COME_BACK_SECONDS)
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
    """A key's limit is a 402 and any other budget a 403, as OpenRouter types them."""
    until = ends_at(limit.reset, now)
    again = "" if until is None else f" It begins anew at {moment(until)}."
    whose = "this key" if limit.scope is Scope.KEY else f"the {limit.scope}"
    in_flight = need.would_fit(limit.nanos - limit.spent)
    message = (
        f"{need.words(in_flight=in_flight)}, and the {limit.reset} limit of {whose}, "
        f"{usd(limit.nanos):g} USD, has {usd(max(limit.left, 0)):.6f} left "
        f"({usd(limit.spent):.6f} spent, {usd(limit.held):.6f} held for open jobs).{again}"
    )
    metadata = {
        "reason": "in_flight_budget_exhausted" if in_flight else "weight_exceeds_budget",
        "limit_source": "openrouter_key_limit" if limit.scope is Scope.KEY else "openrouter_budget",
        "remedy_hint": "retry_after_settlement" if in_flight else "raise_limit_or_wait_for_reset",
        "budget": {
            "scope": limit.scope.value,
            "reset_interval": limit.reset.value,
            "limit_usd": usd(limit.nanos),
            "spend_usd": usd(limit.spent),
            "resets_at": None if until is None else moment(until),
        },
    }
    kind = InsufficientCreditsError if limit.scope is Scope.KEY else BudgetExceededError
    error = kind(message, metadata=metadata)
    if in_flight:
        error.headers["Retry-After"] = str(COME_BACK_SECONDS)
    return error
