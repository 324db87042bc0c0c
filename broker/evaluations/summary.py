"""Sum up the cells of an evaluation: accuracy, differences, agreement, cost, latency. Pure.

The prompts are the independent observations. So samples of one prompt count as one observation: the
share of them that passed, or the mean of their scores.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from broker.evaluations.figures import (
    ColumnFigures,
    Difference,
    Estimate,
    GraderFigures,
    PositionBias,
    Spread,
    Summary,
)
from broker.evaluations.grader_options import PairwiseGrader
from broker.evaluations.grades import Grade
from broker.evaluations.judging import Choice
from broker.evaluations.rows import Plan
from broker.evaluations.statistics import (
    Bounds,
    compare_pairs,
    compute_agreement,
    compute_bootstrap,
    compute_mcnemar,
    compute_percentile,
    compute_wilson,
)
from broker.money import usd

SIGNIFICANT = 0.05
EVEN = 0.5


@dataclass(frozen=True, slots=True)
class CellFigures:
    """The grades and measurements of one cell."""

    prompt: int
    column: int
    outcome: str
    grades: Sequence[Grade]
    digest: str | None = None  # of the answer's text
    cost_nanos: int | None = None
    first_token_ms: int | None = None
    duration_ms: int | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


def summarize(plan: Plan, cells: Sequence[CellFigures]) -> Summary:
    """Return the figures of an evaluation."""
    by_column: dict[int, list[CellFigures]] = defaultdict(list)
    for cell in cells:
        by_column[cell.column].append(cell)
    recorded = _group_digests(by_column[0]) if plan.row.is_replay else None
    graders = range(len(plan.specification.graders))
    others = [index for index in range(len(plan.columns)) if index != plan.baseline]
    found = (_compare(plan, by_column, grader, other) for grader in graders for other in others)
    return Summary(
        columns=[
            _sum_column(plan, index, by_column[index], recorded)
            for index in range(len(plan.columns))
        ],
        differences=[each for each in found if each is not None],
        position_bias=[
            _measure_bias(asked.name, [cell.grades[index] for cell in cells if cell.grades])
            for index, asked in enumerate(plan.specification.graders)
            if isinstance(asked, PairwiseGrader)
        ],
    )


def _sum_column(
    plan: Plan,
    index: int,
    cells: Sequence[CellFigures],
    recorded: Mapping[int, Sequence[str]] | None,
) -> ColumnFigures:
    column = plan.columns[index]
    outcomes = [cell.outcome for cell in cells]
    digests = _group_digests(cells)
    return ColumnFigures(
        name=column.label,
        model=column.model,
        provider=column.provider,
        cells=len(cells),
        answered=len(cells) - outcomes.count("failed"),
        refused=outcomes.count("refused"),
        failed=outcomes.count("failed"),
        cost=usd(sum(cell.cost_nanos or 0 for cell in cells)),
        prompt_tokens=sum(cell.prompt_tokens for cell in cells),
        completion_tokens=sum(cell.completion_tokens for cell in cells),
        latency_ms=_spread(cell.duration_ms for cell in cells),
        first_token_ms=_spread(cell.first_token_ms for cell in cells),
        agreement=compute_agreement(list(digests.values())),
        unchanged=None if recorded is None else _count_unchanged(digests, recorded),
        graders=[
            _sum_grader(asked.name, number, cells)
            for number, asked in enumerate(plan.specification.graders)
        ],
    )


def _sum_grader(name: str, grader: int, cells: Sequence[CellFigures]) -> GraderFigures:
    grades = _group_grades(cells, grader)
    scores = [[grade.score or 0.0 for grade in group] for group in grades.values()]
    passes = [[bool(grade.passed) for grade in group] for group in grades.values()]
    has_passes = any(grade.passed is not None for group in grades.values() for grade in group)
    graded = sum(map(len, grades.values()))
    verdicts = passes if has_passes else scores
    return GraderFigures(
        grader=name,
        graded=graded,
        ungraded=sum(cell.outcome != "failed" for cell in cells) - graded,
        accuracy=_estimate_share(passes) if has_passes else None,
        score=_estimate_mean(scores) if graded else None,
        agreement=compute_agreement(verdicts),
    )


def _estimate_share(groups: Sequence[Sequence[bool]]) -> Estimate:
    """Return the share that passed: Wilson's interval where each prompt has one answer."""
    if all(len(group) == 1 for group in groups):
        hits = sum(group[0] for group in groups)
        return _estimate(hits / len(groups), compute_wilson(hits, len(groups)), "wilson")
    return _estimate_mean(groups)


def _estimate_mean(groups: Sequence[Sequence[float]]) -> Estimate:
    means = [fmean(group) for group in groups]
    return _estimate(fmean(means), compute_bootstrap(means), "bootstrap")


def _estimate(value: float, bounds: Bounds, method: str) -> Estimate:
    return Estimate(value=value, low=bounds.low, high=bounds.high, method=method)


def _compare(
    plan: Plan, by_column: Mapping[int, Sequence[CellFigures]], grader: int, other: int
) -> Difference | None:
    """Compare a column with the baseline; None without a prompt that both have grades for."""
    asked = plan.specification.graders[grader]
    measured = _measure_prompts(by_column[other], grader)
    base = _measure_prompts(by_column[plan.baseline], grader)
    if isinstance(asked, PairwiseGrader):  # the score is relative to the baseline already
        base = {prompt: [EVEN] for prompt in measured}
    prompts = sorted(measured.keys() & base.keys())
    if not prompts:
        return None
    pairs = [(measured[prompt], base[prompt]) for prompt in prompts]
    differences = [fmean(one) - fmean(two) for one, two in pairs]
    bounds, p_value = compare_pairs(differences)
    test = "bootstrap"
    if all(_is_verdict(one) and _is_verdict(two) for one, two in pairs):
        test = "mcnemar"
        p_value = compute_mcnemar(differences.count(1.0), differences.count(-1.0))
    return Difference(
        grader=asked.name,
        name=plan.columns[other].label,
        baseline=plan.columns[plan.baseline].label,
        prompts=len(prompts),
        difference=_estimate(fmean(differences), bounds, "bootstrap"),
        p_value=p_value,
        test=test,
        significant=p_value < SIGNIFICANT,
    )


def _is_verdict(values: Sequence[float | bool]) -> bool:
    """Return whether these are the values of one sample that passed or failed."""
    return len(values) == 1 and isinstance(values[0], bool)


def _measure_prompts(cells: Sequence[CellFigures], grader: int) -> dict[int, list[float | bool]]:
    """Return the verdicts of each prompt's samples, or their scores without verdicts."""
    return {
        prompt: [
            grade.passed if grade.passed is not None else grade.score or 0.0 for grade in group
        ]
        for prompt, group in _group_grades(cells, grader).items()
    }


def _measure_bias(name: str, grades: Iterable[Grade]) -> PositionBias:
    pairs = [tuple(map(Choice, grade.choices)) for grade in grades if grade.choices]
    choices = [choice for pair in pairs for choice in pair if choice is not Choice.TIE]
    first = choices.count(Choice.FIRST)
    always_first = pairs.count((Choice.FIRST, Choice.FIRST))
    always_second = pairs.count((Choice.SECOND, Choice.SECOND))
    consistent = {
        (Choice.FIRST, Choice.SECOND),
        (Choice.SECOND, Choice.FIRST),
        (Choice.TIE, Choice.TIE),
    }
    p_value = compute_mcnemar(always_first, always_second)
    share = None
    if choices:
        bounds = compute_wilson(first, len(choices))
        share = _estimate(first / len(choices), bounds, "wilson")
    return PositionBias(
        grader=name,
        pairs=len(pairs),
        consistent=sum(pair in consistent for pair in pairs),
        always_first=always_first,
        always_second=always_second,
        first_share=share,
        p_value=p_value,
        detected=p_value < SIGNIFICANT,
    )


def _group_grades(cells: Sequence[CellFigures], grader: int) -> dict[int, list[Grade]]:
    """Return the grades of a grader that have a score, by prompt."""
    groups: dict[int, list[Grade]] = defaultdict(list)
    for cell in cells:
        if cell.grades and cell.grades[grader].score is not None:
            groups[cell.prompt].append(cell.grades[grader])
    return groups


def _group_digests(cells: Sequence[CellFigures]) -> dict[int, list[str]]:
    """Return the digests of the answers, by prompt."""
    groups: dict[int, list[str]] = defaultdict(list)
    for cell in cells:
        if cell.digest is not None:
            groups[cell.prompt].append(cell.digest)
    return groups


def _count_unchanged(
    digests: Mapping[int, Sequence[str]], recorded: Mapping[int, Sequence[str]]
) -> float | None:
    """Return the share of answers that are equal to the recorded answer of their prompt."""
    shares = [
        fmean(digest == recorded[prompt][0] for digest in group)
        for prompt, group in digests.items()
        if recorded.get(prompt)
    ]
    return fmean(shares) if shares else None


def _spread(values: Iterable[int | None]) -> Spread:
    known = sorted(float(value) for value in values if value is not None)
    if not known:
        return Spread(p50=None, p95=None)
    return Spread(p50=compute_percentile(known, 0.5), p95=compute_percentile(known, 0.95))
