"""Answers in the background, as the attempts of a job hand them over."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from broker.completion import BackgroundAnswer


async def _keep_nothing(_: BackgroundAnswer) -> None:
    """Store no answer: another process cannot continue the call."""


@dataclass(frozen=True, slots=True)
class Handover:
    """The background answer that a call takes from the attempt before, and leaves to the next one.

    A call with `received` fetches that answer and requests no other. A call that begins an answer
    in the background awaits `store` before it waits for the answer. A call that is stopped while
    `goes_on` is true leaves the answer to the next attempt, and does not cancel it at the provider.
    """

    received: BackgroundAnswer | None = None
    store: Callable[[BackgroundAnswer], Awaitable[None]] = _keep_nothing
    goes_on: Callable[[], bool] = lambda: False


NOTHING = Handover()
"""The handover of a call that no other attempt continues."""
