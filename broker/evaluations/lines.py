"""The lines of an evaluation's batches: one for each cell, and one for each call of a grader. Pure.

The custom_id of a line says which cell and which grader it belongs to.
"""

from collections.abc import Iterator, Mapping

import orjson

from broker.completion import Json
from broker.evaluations.grader_options import (
    JudgeGrader,
    PairwiseGrader,
    SimilarityGrader,
)
from broker.evaluations.judging import (
    build_choice_body,
    build_embedding_body,
    build_score_body,
)
from broker.evaluations.rows import Cell, Plan
from broker.evaluations.specification import Prompt
from broker.requests.operations import Operation

BASELINE_FIRST, BASELINE_SECOND = "first", "second"
"""The two orders in which a pairwise judge sees the baseline's answer."""


def build_body(plan: Plan, prompt: Prompt, column: int) -> Json:
    """Return the chat body of a cell: its prompt's fields, then the model's, then the common."""
    asked, wanted = plan.columns[column], plan.specification
    body = {**wanted.body, **asked.body, **prompt.body}
    if asked.provider is not None:
        only = {"only": [asked.provider], "allow_fallbacks": False}
        body["provider"] = {**(body.get("provider") or {}), **only}
    return {**body, "model": asked.model, "messages": prompt.conversation(wanted.system)}


def build_answer_lines(plan: Plan, number: int, prompt: Prompt) -> Iterator[bytes]:
    """Yield the lines of a prompt's cells, in order."""
    for cell in plan.asked_cells(number):
        body = build_body(plan, prompt, cell.column)
        yield _build_line(cell.custom_id, body, variant=cell.sample)


def build_judging_lines(
    plan: Plan, number: int, prompt: Prompt, texts: Mapping[Cell, str]
) -> Iterator[bytes]:
    """Yield the lines of the graders' calls for a prompt; `texts` has the answers."""
    conversation = prompt.conversation(plan.specification.system)
    accepted = prompt.accepted()
    for index, grader in enumerate(plan.specification.graders):
        for cell in plan.cells(number):
            if (answer := texts.get(cell)) is None:
                continue
            if isinstance(grader, JudgeGrader):
                body = build_score_body(grader, conversation, accepted, answer)
                yield _build_line(judging_id(cell, index), body)
            elif isinstance(grader, SimilarityGrader) and accepted:
                body = build_embedding_body(grader.model, answer, accepted)
                yield _build_line(judging_id(cell, index), body, Operation.EMBEDDINGS)
            elif isinstance(grader, PairwiseGrader) and cell.column != plan.baseline:
                if (base := texts.get(plan.baseline_cell(cell))) is None:
                    continue
                for order, pair in (
                    (BASELINE_FIRST, (base, answer)),
                    (BASELINE_SECOND, (answer, base)),
                ):
                    body = build_choice_body(grader, conversation, accepted, *pair)
                    yield _build_line(judging_id(cell, index, order), body)


def judging_id(cell: Cell, grader: int, order: str | None = None) -> str:
    """Return the custom_id of a grader's call."""
    return f"g{grader}.{cell.custom_id}" + (f".{order}" if order else "")


def _build_line(
    custom_id: str, body: Json, operation: Operation = Operation.CHAT, *, variant: int = 0
) -> bytes:
    line: Json = {"custom_id": custom_id, "url": operation.value, "body": body}
    if variant:
        line["variant"] = variant
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
