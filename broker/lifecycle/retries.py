"""The decision after a failed attempt, as one pure table.

A decision is a value; `broker.lifecycle` carries it out.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from broker.completion import AttemptOutcome, ErrorType, Failure
from broker.enums import JobState, OnUnknown
from broker.routing import Plan

BACKOFF_BASE_SECONDS = 0.5
BACKOFF_CAP_SECONDS = 60.0


class Reaction(StrEnum):
    """A way to react to a kind of failure."""

    MOVE_ON = "move_on"  # the next endpoint at once; the same one after a wait if it is alone
    AGAIN_ONCE = "again_once"  # the same endpoint once more, then the next
    OTHER_MODEL = "other_model"  # only another model the caller listed could help


REACTIONS: dict[ErrorType, Reaction] = {
    ErrorType.RATE_LIMIT_EXCEEDED: Reaction.MOVE_ON,
    ErrorType.PROVIDER_OVERLOADED: Reaction.MOVE_ON,
    ErrorType.AUTHENTICATION: Reaction.MOVE_ON,
    ErrorType.PAYMENT_REQUIRED: Reaction.MOVE_ON,
    ErrorType.PERMISSION_DENIED: Reaction.MOVE_ON,
    ErrorType.NOT_FOUND: Reaction.MOVE_ON,
    ErrorType.UNPROCESSABLE: Reaction.MOVE_ON,  # this server lacks what the request needs
    ErrorType.TOKEN_LIMIT_EXCEEDED: Reaction.MOVE_ON,  # larger than the account's limit there
    ErrorType.PROVIDER_UNAVAILABLE: Reaction.AGAIN_ONCE,
    ErrorType.SERVER: Reaction.AGAIN_ONCE,
    ErrorType.TIMEOUT: Reaction.AGAIN_ONCE,
    ErrorType.UNMAPPED: Reaction.AGAIN_ONCE,
    ErrorType.WORKER_LOST: Reaction.AGAIN_ONCE,
}
"""Other types are faults of the request: OTHER_MODEL."""

HOPELESS_ALONE = frozenset(
    {
        ErrorType.AUTHENTICATION,
        ErrorType.PAYMENT_REQUIRED,
        ErrorType.PERMISSION_DENIED,
        ErrorType.NOT_FOUND,
        ErrorType.UNPROCESSABLE,
        ErrorType.TOKEN_LIMIT_EXCEEDED,
    }
)
"""Waiting does not help: once every endpoint has been tried, the job ends."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Queue the job again, at `position` of its plan, not before `delay` seconds have passed."""

    position: int
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class GiveUp:
    """End the job in this state, or leave it for a review."""

    state: JobState = JobState.FAILED


Decision: TypeAlias = Retry | GiveUp


@dataclass(frozen=True, slots=True)
class Situation:
    """The facts that `decide` considers besides the failure."""

    plan: Plan
    position: int  # of the attempt that failed
    attempts_used: int  # this one included; interrupted ones are not counted
    tries_here: int  # attempts in a row at this position, this one included
    max_attempts: int
    seconds_left: float  # until the job's deadline
    on_unknown: OnUnknown = OnUnknown.RETRY
    shown: bool = False  # part of this attempt's answer has reached a stream's reader

    @property
    def has_next(self) -> bool:
        """Return whether the plan has a later step."""
        return self.position + 1 < len(self.plan)


def decide(failure: Failure, situation: Situation, *, chance: float) -> Decision:
    """Return the decision after `failure`; `chance` in [0, 1) is the random jitter."""
    if failure.outcome is AttemptOutcome.CANCELLED:
        return GiveUp(JobState.CANCELLED)
    if failure.outcome is AttemptOutcome.INTERRUPTED:
        return Retry(situation.position)
    if failure.outcome is AttemptOutcome.SKIPPED and situation.has_next:
        return Retry(situation.position + 1)
    if situation.shown and failure.outcome is not AttemptOutcome.NOT_SENT:
        return GiveUp()  # part of an answer is never continued by another answer
    if failure.outcome is AttemptOutcome.UNKNOWN and situation.on_unknown is not OnUnknown.RETRY:
        is_held = situation.on_unknown is OnUnknown.HOLD
        return GiveUp(JobState.NEEDS_REVIEW if is_held else JobState.FAILED)
    if situation.attempts_used >= situation.max_attempts:
        return GiveUp()
    if failure.answered:  # do not pay this endpoint again for an unusable answer
        return Retry(situation.position + 1) if situation.has_next else GiveUp()
    retry = _choose_step(failure, situation, chance)
    if retry is None:
        return GiveUp()
    return GiveUp(JobState.EXPIRED) if retry.delay >= situation.seconds_left else retry


def _choose_step(failure: Failure, situation: Situation, chance: float) -> Retry | None:
    reaction = REACTIONS.get(failure.error_type, Reaction.OTHER_MODEL)
    if reaction is Reaction.OTHER_MODEL:
        place = situation.plan.next_model(situation.position)
        return None if place is None else Retry(place)
    if reaction is Reaction.AGAIN_ONCE and situation.tries_here == 1:
        return Retry(situation.position, _compute_delay(failure, situation, chance))
    if situation.has_next:
        return Retry(situation.position + 1)
    if failure.error_type in HOPELESS_ALONE:
        return None
    return Retry(
        0, _compute_delay(failure, situation, chance)
    )  # all were tried: start again, later


def _compute_delay(failure: Failure, situation: Situation, chance: float) -> float:
    """Return the delay in seconds: full jitter, at least the provider's Retry-After."""
    wait = chance * compute_backoff_ceiling(situation.attempts_used)
    return max(wait, failure.retry_after or 0.0)


def compute_backoff_ceiling(attempts: int) -> float:
    """Return the longest pause, in seconds, after the `attempts`-th attempt (counted from 1).

    Full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter") spreads the waits evenly
    between zero and this.
    """
    return float(min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2.0 ** min(attempts - 1, 16)))
