"""The service of evaluations: make their batches, compute their grades, and end them."""

import asyncio
from collections.abc import Callable, Iterable, Iterator

import structlog

from broker import accounts
from broker.background import Service
from broker.batches import BatchOptions, Inspector, NewBatch, Options, new_batch
from broker.batches.options import ENDED
from broker.batches.reports import find_batch, totals
from broker.batches.rows import BatchRow
from broker.clock import now_ms
from broker.enums import EvaluationState, FilePurpose, StopReason
from broker.evaluations import reports, transitions
from broker.evaluations.grades import dump_grades
from broker.evaluations.lines import build_answer_lines, build_judging_lines
from broker.evaluations.rows import CellRow, EvaluationRow, Plan
from broker.evaluations.summary import summarize
from broker.evaluations.transitions import EvaluationEnd, GradedPrompts
from broker.jobs.privacy import choose_store
from broker.requests.operations import Operation
from broker.settings import Settings
from broker.storage import files
from broker.storage.database import Database
from broker.storage.files import FileRow, FileStore
from workers.services.grading import Graders
from workers.services.leader_election import LeaderElection
from workers.services.open_steps import OpenSteps

ANSWERS, JUDGING = "A", "J"  # the ends of the ids of input files
TICK_SECONDS = 0.25
WAIT_SHARE = 0.05  # pause of an evaluation that waits for a batch, as a share of its age
MAX_WAIT_SECONDS = 2.0
SUMMARY_SECONDS = 300.0  # to compute the figures of the largest evaluation

log = structlog.get_logger()


class EvaluationKeeper:
    """The service that advances the open evaluations. One process at a time is the leader."""

    def __init__(
        self,
        election: LeaderElection,
        settings: Settings,
        database: Database,
        store: FileStore,
        graders: Graders,
    ) -> None:
        self._election = election
        self._settings = settings
        self._database = database
        self._store = store
        self._graders = graders
        self.steps = OpenSteps("evaluation", database, reports.list_open, self._advance)

    def services(self) -> list[Service]:
        """Return the service. The leader runs it."""
        return [
            Service(
                "evaluations",
                TICK_SECONDS,
                self.steps.advance,
                is_leader=self._election.is_leader,
                close=self.close,
            )
        ]

    async def close(self) -> None:
        """Cancel the steps that are running."""
        await self.steps.close()
        await self._graders.aclose()

    async def _advance(self, row: EvaluationRow) -> None:
        if row.state is EvaluationState.PREPARING:
            await self._begin_answering(row)
        elif row.state is EvaluationState.ANSWERING:
            await self._begin_judging(row)
        elif row.state is EvaluationState.JUDGING:
            await self._await_judging(row)
        else:
            await self._grade(row)

    # --- preparing, answering, judging ----------------------------------------------------------

    async def _begin_answering(self, row: EvaluationRow) -> None:
        if row.stop_reason is not None:
            await self._database.write(transitions.begin_grading, row.id, row.stop_reason)
            return
        plan = Plan.of(row)
        batch = await self._make_batch(plan, ANSWERS, self._answer_lines(plan), row.max_cost_nanos)
        if batch is not None:
            await self._database.write(transitions.begin_answering, row.id, batch)

    async def _begin_judging(self, row: EvaluationRow) -> None:
        batch = await self._find_ended_batch(row, row.answers_batch_id)
        if batch is None:
            return
        plan = Plan.of(row)
        reason = self._find_stop(row, batch)
        left = row.max_cost_nanos
        if left is not None:
            spent = await self._database.read(totals, batch)
            left -= spent.cost_nanos
        judging = None
        if reason is None and plan.specification.has_calls:
            judging = await self._make_batch(plan, JUDGING, self._judging_lines(plan), left)
        if judging is None:
            await self._database.write(transitions.begin_grading, row.id, reason)
        else:
            await self._database.write(transitions.begin_judging, row.id, judging)

    async def _await_judging(self, row: EvaluationRow) -> None:
        batch = await self._find_ended_batch(row, row.judging_batch_id)
        if batch is not None:
            reason = self._find_stop(row, batch)
            await self._database.write(transitions.begin_grading, row.id, reason)

    async def _find_ended_batch(self, row: EvaluationRow, batch_id: str | None) -> BatchRow | None:
        """Return a batch of an evaluation, or None while it is open."""
        assert batch_id is not None  # the state says that there is one
        batch = await self._database.read(find_batch, batch_id)
        if batch is None:
            await self._database.write(transitions.begin_grading, row.id, StopReason.INPUT_LOST)
            return None
        if batch.state in ENDED:
            return batch
        age = (now_ms() - row.created_at) / 1000
        self.steps.pause(row, min(age * WAIT_SHARE, MAX_WAIT_SECONDS))
        return None

    def _find_stop(self, row: EvaluationRow, batch: BatchRow) -> StopReason | None:
        has_expired = now_ms() >= row.expires_at
        late = StopReason.EXPIRED if has_expired else None
        return row.stop_reason or batch.stop_reason or late

    async def _make_batch(
        self, plan: Plan, suffix: str, lines: Iterator[bytes], max_cost_nanos: int | None
    ) -> NewBatch | None:
        """Write the input of a batch and return the batch to insert; None without a line.

        The file's id follows from the evaluation's: a repeated step writes the same file again.
        """
        row = plan.row
        file_id = self._name_input(row, suffix)
        inspector = Inspector()
        size = await asyncio.to_thread(self._write_input, file_id, lines, inspector.feed)
        found = inspector.findings()
        if not found.lines:
            await asyncio.to_thread(self._store.delete, file_id)
            return None
        principal = await self._database.read(
            accounts.find_principal, row.workspace_id, row.api_key_id
        )
        asked = plan.specification
        options = BatchOptions(
            endpoint=Operation.CHAT,
            options=Options(
                service_tier=asked.service_tier,
                cache_ttl_seconds=asked.cache_ttl if asked.cache else None,
            ),
            max_cost_nanos=None if max_cost_nanos is None else max(max_cost_nanos, 1),
        )
        now = now_ms()
        new = new_batch(options, principal, now, input_file_id=file_id, inline=True)
        file = FileRow(
            file_id,
            row.workspace_id,
            FilePurpose.BATCH,
            size,
            now,
            api_key_id=row.api_key_id,
            media_type="application/jsonl",
            lines=found.lines,
            problems=found.stored,
            expires_at=row.expires_at,
        )
        batch = new.row._replace(evaluation_id=row.id, expires_at=row.expires_at)
        return NewBatch(batch, file)

    def _name_input(self, row: EvaluationRow, suffix: str) -> str:
        """Return the id of the input of a batch."""
        return f"file_{row.id.removeprefix('eval_')}{suffix}"

    def _write_input(
        self, file_id: str, lines: Iterable[bytes], inspect: Callable[[bytes], None]
    ) -> int:
        size = 0
        with self._store.writing(file_id) as file:
            for line in lines:
                file.write(line)
                inspect(line)
                size += len(line)
        return size

    def _answer_lines(self, plan: Plan) -> Iterator[bytes]:
        most, begin = reports.count_page_prompts(plan), 0
        while page := self._database.read_now(reports.list_prompts, plan.row.id, begin, most):
            for prompt in page:
                yield from build_answer_lines(plan, prompt.number, prompt.read_prompt())
            begin = page[-1].number + 1

    def _judging_lines(self, plan: Plan) -> Iterator[bytes]:
        most, begin = reports.count_page_prompts(plan), 0
        while page := self._database.read_now(reports.list_results, plan, begin, most):
            for each in page:
                number = each.row.number
                yield from build_judging_lines(plan, number, each.row.read_prompt(), each.texts())
            begin = page[-1].row.number + 1

    # --- grading --------------------------------------------------------------------------------

    async def _grade(self, row: EvaluationRow) -> None:
        """Write the grades of the cells, a few prompts at a time, and then the end."""
        plan = Plan.of(row)
        most, begin = reports.count_page_prompts(plan), row.prompts_graded
        while page := await self._database.read(reports.list_results, plan, begin, most):
            cells: list[CellRow] = []
            for each, grades in zip(page, await self._graders.grade(plan, page), strict=True):
                cells += [
                    CellRow(
                        row.id,
                        *result.cell,
                        outcome=result.answer.outcome,
                        grades=dump_grades(grades[result.cell]),
                        job_id=None if result.answer.answer is None else result.answer.answer.id,
                        digest=result.answer.digest,
                    )
                    for result in each.cells
                ]
            end = page[-1].row.number + 1
            graded = GradedPrompts(row.id, begin, end, cells)
            if not await self._database.write(transitions.insert_grades, graded):
                return
            begin = end
        await self._end(plan)

    async def _end(self, plan: Plan) -> None:
        row = plan.row
        figures = await self._database.read(reports.list_figures, plan)
        summary = await self._graders.sandbox.run(
            row.workspace_id, SUMMARY_SECONDS, summarize, plan, figures
        )
        end = EvaluationEnd(
            row.id,
            find_last_state(row.stop_reason),
            summary.model_dump_json(),
            now_ms(),
            keeps_prompts=await self._keeps_prompts(plan),
        )
        inputs = [self._name_input(row, suffix) for suffix in (ANSWERS, JUDGING)]
        await self._database.write(files.remove, inputs)
        for file_id in inputs:
            await asyncio.to_thread(self._store.delete, file_id)
        self._graders.forget(row.id)
        if await self._database.write(transitions.end_evaluation, end):
            log.info("evaluation.ended", evaluation=row.id, state=end.state.value)

    async def _keeps_prompts(self, plan: Plan) -> bool:
        """Return whether the workspace keeps prompts of calls that have ended."""
        row = plan.row
        principal = await self._database.read(
            accounts.find_principal, row.workspace_id, row.api_key_id
        )
        body = plan.specification.body
        return choose_store(body, None, principal.settings, self._settings.store) is None


def find_last_state(reason: StopReason | None) -> EvaluationState:
    """Return the terminal state of an evaluation that stopped for a reason, or for none."""
    if reason is None:
        return EvaluationState.COMPLETED
    if reason is StopReason.EXPIRED:
        return EvaluationState.EXPIRED
    lost = reason is StopReason.INPUT_LOST
    return EvaluationState.FAILED if lost else EvaluationState.CANCELLED
