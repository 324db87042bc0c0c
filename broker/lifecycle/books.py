"""What the end of a job does to the money: settle or release its hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from broker import ledger
from broker.usage import Consumption


@dataclass(frozen=True, slots=True)
class Answered:
    """A job (its row) that brought an answer."""

    job: Any
    generation: Mapping[str, Any]  # the columns of `generations`
    now: int

    @property
    def consumption(self) -> Consumption:
        made = self.generation
        return Consumption(self.job, made["model"], made["provider"], self.now, made)


def settle(connection: Connection, answered: Sequence[Answered]) -> None:
    """Charge what the answers cost, whatever was held."""
    ledger.append(
        connection,
        [
            ledger.settle(
                workspace_id=each.job.workspace_id,
                api_key_id=each.job.api_key_id,
                job_id=each.job.id,
                held_nanos=each.job.hold_nanos,
                cost_nanos=each.generation["cost_nanos"],
                now=each.now,
            )
            for each in answered
        ],
    )


def release(connection: Connection, ended: Sequence[tuple[Any, int]]) -> None:
    """Give the holds of these jobs (their rows, and when they ended) back."""
    ledger.append(
        connection,
        [
            ledger.release(
                workspace_id=job.workspace_id,
                api_key_id=job.api_key_id,
                job_id=job.id,
                held_nanos=job.hold_nanos,
                now=now,
            )
            for job, now in ended
        ],
    )
