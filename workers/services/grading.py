"""Grade answers: in this process, in the sandbox, by judgements, or by a caller's URL."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from broker.clock import now_ms
from broker.completion import Json
from broker.evaluations import reports
from broker.evaluations.grader_options import (
    ContainsGrader,
    ExactGrader,
    HttpGrader,
    JsonSchemaGrader,
    JudgeGrader,
    NumericGrader,
    PairwiseGrader,
    RegexGrader,
    SimilarityGrader,
)
from broker.evaluations.grades import (
    Grade,
    grade_by,
    grade_contains,
    grade_exact,
    grade_numeric,
    list_patterns,
)
from broker.evaluations.judging import (
    Choice,
    UnreadableError,
    read_choice,
    read_score,
    read_similarity,
)
from broker.evaluations.lines import BASELINE_FIRST, BASELINE_SECOND, judging_id
from broker.evaluations.reports import CellAnswer, CellResult, PromptResults
from broker.evaluations.rows import Cell, Plan
from broker.evaluations.specification import Prompt
from broker.storage.database import Database
from workers.sandbox.pool import Sandbox, SandboxError
from workers.sandbox.texts import check_json, search
from workers.services.webhook_request import HeaderSigner, WebhookClient

CHECK_SECONDS = 2.0  # for one answer against a caller's pattern or schema
LONGEST_CHECKED = 200_000  # characters of such an answer
REQUESTS = 8  # of an HTTP grader at the same time
OK = 200
TRIES = 3  # of a request that fails in a way that may pass
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
NOT_EXPECTED = Grade(error="the prompt has no expected answer")
NO_ANSWER = Grade(error="there is no answer")

Judgements = Mapping[str, CellAnswer]


@dataclass(frozen=True, slots=True)
class GradedAnswer:
    """An answer to grade, with its prompt."""

    plan: Plan
    prompt: Prompt
    cell: Cell
    text: str
    judgements: Judgements

    @property
    def accepted(self) -> list[str]:
        """The expected answers."""
        return self.prompt.accepted()


@dataclass(slots=True)
class Graders:
    """The graders of one process."""

    database: Database
    sandbox: Sandbox
    client: WebhookClient
    signer: HeaderSigner
    _requests: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(REQUESTS))

    async def aclose(self) -> None:
        """Close the connections to callers' URLs."""
        await self.client.aclose()

    async def grade(
        self, plan: Plan, page: Sequence[PromptResults]
    ) -> list[dict[Cell, list[Grade]]]:
        """Return the grades of each prompt's cells, in the order of the graders."""
        judgements = await self._find_judgements(plan, page)
        return [
            dict(
                zip(
                    (result.cell for result in each.cells),
                    await asyncio.gather(
                        *(self._grade_cell(plan, each, result, judgements) for result in each.cells)
                    ),
                    strict=True,
                )
            )
            for each in page
        ]

    async def _find_judgements(self, plan: Plan, page: Sequence[PromptResults]) -> Judgements:
        if plan.row.judging_batch_id is None:
            return {}
        ids = [
            judging_id(result.cell, index, order)
            for each in page
            for result in each.cells
            for index, grader in enumerate(plan.specification.graders)
            for order in _orders(grader)
        ]
        found: dict[str, CellAnswer] = {}
        for begin in range(0, len(ids), reports.PAGE_CELLS):
            some = ids[begin : begin + reports.PAGE_CELLS]
            found |= await self.database.read(reports.find_judgements, plan, some)
        return found

    async def _grade_cell(
        self, plan: Plan, each: PromptResults, result: CellResult, judgements: Judgements
    ) -> list[Grade]:
        text = each.texts().get(result.cell)
        if text is None:
            return [NO_ANSWER] * len(plan.specification.graders)
        answer = GradedAnswer(plan, each.row.read_prompt(), result.cell, text, judgements)
        return [
            await self._grade_by(index, grader, answer)
            for index, grader in enumerate(plan.specification.graders)
        ]

    async def _grade_by(self, index: int, grader: Any, answer: GradedAnswer) -> Grade:
        match grader:
            case ExactGrader() | ContainsGrader() | NumericGrader():
                return _grade_text(grader, answer)
            case RegexGrader():
                return await self._grade_regex(grader, answer)
            case JsonSchemaGrader():
                return await self._grade_json(grader, answer)
            case HttpGrader():
                return await self._grade_by_url(grader, answer)
            case _:
                return _grade_by_call(index, grader, answer)

    async def _grade_regex(self, grader: RegexGrader, answer: GradedAnswer) -> Grade:
        patterns = list_patterns(grader, answer.accepted)
        if not patterns:
            return NOT_EXPECTED
        try:
            found = await self._check(
                answer, search, patterns, answer.text, ignore_case=grader.ignore_case
            )
        except (SandboxError, re.error) as error:
            return Grade(error=f"the pattern could not be searched: {error}")
        return grade_by(bool(found))

    async def _grade_json(self, grader: JsonSchemaGrader, answer: GradedAnswer) -> Grade:
        try:
            violation = await self._check(answer, check_json, answer.text, grader.json_schema)
        except (SandboxError, ValueError) as error:
            return Grade(error=f"the answer could not be checked: {error}")
        return replace(grade_by(violation is None), reason=violation)

    async def _check(
        self, answer: GradedAnswer, function: Callable[..., Any], *arguments: Any, **options: Any
    ) -> Any:
        """Run a check of a caller's pattern or schema in a process that can be killed."""
        if len(answer.text) > LONGEST_CHECKED:
            raise SandboxError(f"the answer has more than {LONGEST_CHECKED:,} characters")
        workspace_id = answer.plan.row.workspace_id
        return await self.sandbox.run(workspace_id, CHECK_SECONDS, function, *arguments, **options)

    async def _grade_by_url(self, grader: HttpGrader, answer: GradedAnswer) -> Grade:
        """Post an answer to a caller's URL. A repeated step may post it again."""
        body = {
            "evaluation_id": answer.plan.row.id,
            "custom_id": answer.cell.custom_id,
            "prompt_id": answer.prompt.id,
            "model": answer.plan.columns[answer.cell.column].label,
            "sample": answer.cell.sample,
            "messages": answer.prompt.conversation(answer.plan.specification.system),
            "expected": answer.prompt.expected,
            "metadata": answer.prompt.metadata,
            "answer": answer.text,
        }
        content = orjson.dumps(body)
        message_id = f"{answer.plan.row.id}.{answer.cell.custom_id}"
        workspace_id = answer.plan.row.workspace_id
        async with self._requests:
            headers = await self.signer.sign(workspace_id, message_id, content, now_ms())
            for attempt in range(TRIES):
                reply = await self.client.post(grader.url, content, headers)
                if reply.error is None and reply.status not in TRANSIENT:
                    break
                await asyncio.sleep(attempt / 2)
        if reply.error is not None:
            return Grade(error=reply.error)
        if reply.status != OK:
            return Grade(error=f"the grader answered with status {reply.status}")
        return _read_reply(reply.body)


def _orders(grader: Any) -> Sequence[str | None]:
    """Return the orders in which a grader judges an answer; none for graders without calls."""
    if isinstance(grader, PairwiseGrader):
        return (BASELINE_FIRST, BASELINE_SECOND)
    return (None,) if isinstance(grader, JudgeGrader | SimilarityGrader) else ()


def _grade_text(
    grader: ExactGrader | ContainsGrader | NumericGrader, answer: GradedAnswer
) -> Grade:
    accepted = answer.accepted
    if not accepted:
        return NOT_EXPECTED
    if isinstance(grader, ExactGrader):
        return grade_exact(grader, answer.text, accepted)
    if isinstance(grader, ContainsGrader):
        return grade_contains(grader, answer.text, accepted)
    return grade_numeric(grader, answer.text, accepted)


def _grade_by_call(
    index: int, grader: JudgeGrader | SimilarityGrader | PairwiseGrader, answer: GradedAnswer
) -> Grade:
    if isinstance(grader, SimilarityGrader) and not answer.accepted:
        return NOT_EXPECTED
    if isinstance(grader, PairwiseGrader) and answer.cell.column == answer.plan.baseline:
        return Grade()
    found = [
        answer.judgements.get(judging_id(answer.cell, index, order)) for order in _orders(grader)
    ]
    replies = [each for each in found if each is not None and each.outcome != "failed"]
    if len(replies) < len(found):
        return Grade(error="the grader's call was not answered")
    try:
        return _read_replies(grader, replies)
    except UnreadableError as error:
        return Grade(error=str(error))


def _read_replies(
    grader: JudgeGrader | SimilarityGrader | PairwiseGrader, replies: Sequence[CellAnswer]
) -> Grade:
    if isinstance(grader, JudgeGrader):
        score, reason = read_score(grader, replies[0].text)
        passed = None
        if grader.pass_score is not None:
            given = grader.lowest + score * (grader.highest - grader.lowest)
            passed = given >= grader.pass_score - 1e-9
        return Grade(score, passed, reason)
    if isinstance(grader, SimilarityGrader):
        assert replies[0].answer is not None  # it was answered
        similarity = read_similarity(replies[0].answer.response)
        return Grade(min(max(similarity, 0.0), 1.0), similarity >= grader.threshold)
    (first, reason), (second, _) = (read_choice(reply.text) for reply in replies)
    wins = [first is Choice.SECOND, second is Choice.FIRST]
    losses = [first is Choice.FIRST, second is Choice.SECOND]
    score = 1.0 if all(wins) else 0.0 if all(losses) else 0.5
    return Grade(score, reason=reason, choices=(first.value, second.value))


def _read_reply(text: str | None) -> Grade:
    """Return the grade in the reply of an HTTP grader: `score`, `passed`, `reason`."""
    try:
        reply: Json = orjson.loads(text or "")
        score, passed = reply.get("score"), reply.get("passed")
    except (orjson.JSONDecodeError, AttributeError):
        return Grade(error="the grader's reply is not a JSON object of at most 2,000 characters")
    if passed is not None and not isinstance(passed, bool):
        return Grade(error="the grader's `passed` is neither true nor false")
    if score is None and passed is not None:
        score = 1.0 if passed else 0.0
    if not isinstance(score, int | float) or isinstance(score, bool) or not 0 <= score <= 1:
        return Grade(error="the grader's reply has no `score` from 0 to 1 and no `passed`")
    reason = reply.get("reason")
    return Grade(float(score), passed, reason if isinstance(reason, str) else None)
