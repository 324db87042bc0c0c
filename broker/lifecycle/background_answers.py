"""Answers that a provider makes in the background, as one attempt leaves them to the next.

The worker stores such an answer with its attempt before it waits for it. When the worker is lost or
shut down, the attempt is `interrupted`, and the next attempt at the same endpoint fetches the
answer instead of requesting another one, which would be paid as well.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson
from sqlalchemy import Connection, bindparam, select, update

from broker.completion import AttemptOutcome, BackgroundAnswer
from broker.providers.endpoints import Endpoint
from broker.storage.frequent_statements import FrequentQuery
from broker.storage.tables import Attempt, columns, table
from broker.storage.text_lists import among

MOST_CONTINUATIONS = 5
"""Lost workers after which a job counts as one that ends its workers. `on_unknown` then decides."""

_attempts = table(Attempt)


@dataclass(frozen=True, slots=True)
class BegunAnswer:
    """An answer in the background that an attempt has begun."""

    job_id: str
    attempt: int
    answer: BackgroundAnswer


class LeftAnswer(Protocol):
    """A row of `attempts` that was interrupted and has left an answer in the background."""

    job_id: str
    number: int
    provider: str
    model: str
    credential_id: str | None
    background: str | None


_STORE = (
    update(_attempts)
    .where(
        _attempts.c.job_id == bindparam("of_job"),
        _attempts.c.number == bindparam("of_number"),
        _attempts.c.outcome.is_(None),
    )
    .values(background=bindparam("answer"))
)
_LEFT = FrequentQuery[LeftAnswer](
    select(*columns(LeftAnswer, _attempts)).where(
        among(_attempts.c.job_id, "ids"),
        _attempts.c.outcome == AttemptOutcome.INTERRUPTED.value,
        _attempts.c.background.is_not(None),
    )
)


def store_begun_answers(connection: Connection, begun: Sequence[BegunAnswer]) -> Sequence[None]:
    """Store answers in the background with their attempts, if these still run."""
    rows = [
        {"of_job": each.job_id, "of_number": each.attempt, "answer": encode(each.answer)}
        for each in begun
    ]
    connection.execute(_STORE, rows)
    return [None] * len(begun)


def find_left_answers(
    connection: Connection, ids: Collection[str]
) -> dict[tuple[str, int], LeftAnswer]:
    """Return the answers that interrupted attempts of these jobs have left, by job and attempt."""
    if not ids:
        return {}
    return {(row.job_id, row.number): row for row in _LEFT.all(connection, {"ids": list(ids)})}


def choose_answer(left: LeftAnswer | None, endpoint: Endpoint) -> BackgroundAnswer | None:
    """Return the answer that an attempt at `endpoint` fetches; only that endpoint has it."""
    if left is None or (left.provider, left.model) != endpoint.key:
        return None
    return decode(left.background) if left.credential_id == endpoint.credential else None


def encode(answer: BackgroundAnswer) -> str:
    """Return the JSON of the column `attempts.background`."""
    return orjson.dumps({"id": answer.id, "url": answer.url}).decode()


def decode(stored: str | None) -> BackgroundAnswer | None:
    """Return the answer of the column `attempts.background`."""
    return None if stored is None else BackgroundAnswer(**orjson.loads(stored))
