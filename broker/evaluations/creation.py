"""A new evaluation: insert it with its prompts. Its cells are submitted later."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, insert, select

from broker.accounts import Principal, Scope
from broker.batches.options import MAX_BYTES, MAX_LINES, window_ms
from broker.enums import EvaluationState
from broker.errors import IdempotencyMismatchError, InvalidRequestError
from broker.evaluations.rows import EvaluationRow, PromptRow
from broker.evaluations.specification import MAX_CELLS, MAX_PROMPTS, Prompt, Specification
from broker.ids import new_id
from broker.storage.tables import Evaluation, EvaluationPrompt, table

_evaluations = table(Evaluation)
_prompts = table(EvaluationPrompt)


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """The options of an evaluation besides its specification."""

    name: str | None = None
    completion_window: str = "24h"
    max_cost_nanos: int | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class AskedPrompt:
    """A prompt, and the past job that it replays."""

    prompt: Prompt
    recorded_job_id: str | None = None


@dataclass(frozen=True, slots=True)
class NewEvaluation:
    """An evaluation to insert, with its prompts."""

    row: EvaluationRow
    prompts: Sequence[PromptRow]


def new_evaluation(
    specification: Specification,
    prompts: Sequence[AskedPrompt],
    options: EvaluationOptions,
    principal: Principal,
    now: int,
    *,
    search: str | None = None,
) -> NewEvaluation:
    """Return the evaluation to insert. Raises InvalidRequestError for one that is too large.

    `search` is the search that found the prompts, if one did: a repeated request may find others.
    """
    evaluation_id = new_id("eval_")
    is_replay = any(each.recorded_job_id for each in prompts)
    rows = [
        PromptRow(
            evaluation_id,
            number,
            each.prompt.model_dump_json(exclude_defaults=True),
            each.recorded_job_id,
        )
        for number, each in enumerate(prompts)
    ]
    _check_size(specification, rows, is_replay=is_replay)
    stored = specification.model_dump_json(by_alias=True)
    row = EvaluationRow(
        id=evaluation_id,
        workspace_id=principal.workspace_id,
        api_key_id=principal.api_key_id,
        state=EvaluationState.PREPARING,
        specification=stored,
        prompts_total=len(rows),
        created_at=now,
        expires_at=now + window_ms(options.completion_window),
        name=options.name,
        is_replay=is_replay,
        max_cost_nanos=options.max_cost_nanos,
        idempotency_key=options.idempotency_key,
        fingerprint=_fingerprint(stored, search or rows, options, principal),
    )
    return NewEvaluation(row, rows)


@dataclass(frozen=True, slots=True)
class CreatedEvaluation:
    """The id of an evaluation that was created now or earlier."""

    evaluation_id: str
    replayed: bool  # it was created by an earlier request with the same idempotency key


def insert_evaluation(connection: Connection, new: NewEvaluation) -> CreatedEvaluation:
    """Insert an evaluation; a known idempotency key gives the earlier one instead."""
    row = new.row
    if row.idempotency_key is not None:
        known = connection.execute(
            select(_evaluations.c.id, _evaluations.c.fingerprint).where(
                _evaluations.c.workspace_id == row.workspace_id,
                _evaluations.c.idempotency_key == row.idempotency_key,
            )
        ).first()
        if known is not None:
            return _replay(known.id, known.fingerprint, row)
    connection.execute(insert(_evaluations), [row._asdict()])
    connection.execute(insert(_prompts), [each._asdict() for each in new.prompts])
    return CreatedEvaluation(row.id, replayed=False)


def _replay(known_id: str, fingerprint: str, row: EvaluationRow) -> CreatedEvaluation:
    if fingerprint != row.fingerprint:
        raise IdempotencyMismatchError(
            f"Idempotency-Key {row.idempotency_key!r} was used with another request (evaluation "
            f"{known_id}): send the same to get that evaluation, or another key for a new one.",
            param="Idempotency-Key",
        )
    return CreatedEvaluation(known_id, replayed=True)


def _check_size(
    specification: Specification, rows: Sequence[PromptRow], *, is_replay: bool
) -> None:
    if not rows:
        raise InvalidRequestError("There is no prompt to evaluate.", param="prompts")
    if len(rows) > MAX_PROMPTS:
        raise InvalidRequestError(
            f"There are {len(rows):,} prompts; an evaluation takes {MAX_PROMPTS:,}: split it.",
            param="prompts",
        )
    cells, calls = specification.count_calls(len(rows), is_replay=is_replay)
    if cells > MAX_CELLS:
        raise InvalidRequestError(
            f"Prompts times models times samples are {cells:,} cells; an evaluation takes "
            f"{MAX_CELLS:,}: take fewer of them.",
            param="prompts",
        )
    if calls > MAX_LINES:
        raise InvalidRequestError(
            f"The graders would make {calls:,} calls; an evaluation takes {MAX_LINES:,}: take "
            "fewer graders, prompts, models or samples.",
            param="graders",
        )
    size = sum(len(row.content) for row in rows) * (cells // len(rows))
    if size > MAX_BYTES:
        raise InvalidRequestError(
            f"The bodies of all cells would have {size:,} bytes; an evaluation takes "
            f"{MAX_BYTES:,}: split it.",
            param="prompts",
        )


def _fingerprint(
    specification: str,
    prompts: Sequence[PromptRow] | str,
    options: EvaluationOptions,
    principal: Principal,
) -> str:
    """Return a digest of the request. It contains the key if that sees only its own objects."""
    contents = prompts if isinstance(prompts, str) else [row.content for row in prompts]
    details = [options.name, options.completion_window, options.max_cost_nanos]
    owner = principal.owner_filter(Scope.JOBS)
    canonical = orjson.dumps([specification, contents, details, owner])
    return hashlib.sha256(canonical).hexdigest()
