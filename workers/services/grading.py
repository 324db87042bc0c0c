"""Grade answers: in this process, in the sandbox, by judgements, or by a caller's URL."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakValueDictionary

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
from broker.evaluations.reports import CellAnswer, PromptResults
from broker.evaluations.rows import Cell, Plan
from broker.evaluations.specification import Prompt
from broker.storage.database import Database
from workers.sandbox.pool import Sandbox, SandboxError
from workers.sandbox.texts import check_json, search
from workers.services.webhook_request import HeaderSigner, WebhookClient

CHECK_SECONDS = 2.0  # for one answer against a caller's pattern or schema
LONGEST_CHECKED = 200_000  # characters of such an answer
REQUESTS = 8  # of a workspace's HTTP graders at the same time
CONNECTIONS = 64  # of all HTTP graders
MOST_FAILURES = 20  # in a row; a grader that fails so often is not used any more
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
    _requests: WeakValueDictionary[str, asyncio.Semaphore] = field(
        default_factory=WeakValueDictionary
    )
    _failures: Counter[tuple[str, str]] = field(default_factory=Counter)  # in a row, of a grader

    async def aclose(self) -> None:
        """Close the connections to callers' URLs."""
        await self.client.aclose()

    async def grade(
        self, plan: Plan, page: Sequence[PromptResults]
    ) -> list[dict[Cell, list[Grade]]]:
        """Return the grades of each prompt's cells, in the order of the graders."""
        judgements = await self._find_judgements(plan, page)
        return await asyncio.gather(*(self._grade_prompt(plan, each, judgements) for each in page))

    def forget(self, evaluation_id: str) -> None:
        """Drop the counts of failures of an evaluation that has ended."""
        for key in [key for key in self._failures if key[0] == evaluation_id]:
            del self._failures[key]

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

    async def _grade_prompt(
        self, plan: Plan, each: PromptResults, judgements: Judgements
    ) -> dict[Cell, list[Grade]]:
        prompt, texts = each.row.read_prompt(), each.texts()
        grades = dict.fromkeys(
            (result.cell for result in each.cells), [NO_ANSWER] * len(plan.specification.graders)
        )
        answers = [
            GradedAnswer(plan, prompt, cell, text, judgements) for cell, text in texts.items()
        ]
        found = await asyncio.gather(*map(self._grade_answer, answers))
        return grades | {answer.cell: own for answer, own in zip(answers, found, strict=True)}

    async def _grade_answer(self, answer: GradedAnswer) -> list[Grade]:
        return [
            await self._grade_by(index, grader, answer)
            for index, grader in enumerate(answer.plan.specification.graders)
        ]

    async def _grade_by(self, index: int, grader: Any, answer: GradedAnswer) -> Grade:
        match grader:
            case ExactGrader() | ContainsGrader() | NumericGrader():
                return _grade_text(grader, answer)
            case RegexGrader() | JsonSchemaGrader() | HttpGrader():
                return await self._grade_with_limits(grader, answer)
            case _:
                return _grade_by_call(index, grader, answer)

    async def _grade_with_limits(
        self, grader: RegexGrader | JsonSchemaGrader | HttpGrader, answer: GradedAnswer
    ) -> Grade:
        """Grade by a caller's pattern, schema or URL; not after many failures, and not too late."""
        key = (answer.plan.row.id, grader.name)
        if self._failures[key] >= MOST_FAILURES:
            return Grade(error=f"the grader failed {MOST_FAILURES} times in a row")
        if now_ms() >= answer.plan.row.expires_at:
            return Grade(error="the completion window has ended")
        if isinstance(grader, RegexGrader):
            grade = await self._grade_regex(grader, answer)
        elif isinstance(grader, JsonSchemaGrader):
            grade = await self._grade_json(grader, answer)
        else:
            grade = await self._grade_by_url(grader, answer)
        is_failure = grade.score is None and grade is not NOT_EXPECTED
        self._failures[key] = self._failures[key] + 1 if is_failure else 0
        return grade

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
        async with self._requests.setdefault(workspace_id, asyncio.Semaphore(REQUESTS)):
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
