"""The figures of an evaluation, from its cells."""

import pytest
from scipy import stats

from broker.enums import EvaluationState
from broker.evaluations.figures import Summary
from broker.evaluations.grades import Grade
from broker.evaluations.markdown import list_findings, write_markdown
from broker.evaluations.rows import EvaluationRow, Plan
from broker.evaluations.specification import Specification
from broker.evaluations.summary import CellFigures, summarize

PAIRWISE = {"type": "pairwise", "model": "acme/judge", "rubric": "x"}
JUDGE = {"type": "judge", "model": "acme/judge", "rubric": "x"}


def make_plan(*graders, samples=1, models=("a", "b"), is_replay=False, **wish):
    wanted = Specification(models=list(models), graders=list(graders), samples=samples, **wish)
    row = EvaluationRow(
        *(
            "eval_1",
            "ws_1",
            "key_1",
            EvaluationState.GRADING,
            wanted.model_dump_json(by_alias=True),
        ),
        *(0, 0, 0),
        is_replay=is_replay,
    )
    return Plan.of(row)


def cell(prompt, column, *grades, outcome="answered", **more):
    return CellFigures(prompt, column, outcome, grades, **more)


def passed(value):
    return Grade(float(value), bool(value))


def test_one_sample_of_pass_or_fail_has_wilsons_interval_and_mcnemars_test():
    plan = make_plan({"type": "exact"})
    # of 40 prompts, both pass 10, the first alone 5, the second alone 20, none 5
    kinds = [(1, 1)] * 10 + [(1, 0)] * 5 + [(0, 1)] * 20 + [(0, 0)] * 5
    cells = [cell(n, c, passed(kind[c])) for n, kind in enumerate(kinds) for c in (0, 1)]
    summary = summarize(plan, cells)
    first, second = (column.graders[0].accuracy for column in summary.columns)
    assert (first.value, second.value) == (15 / 40, 30 / 40)
    for estimate, hits in ((first, 15), (second, 30)):
        wanted = stats.binomtest(hits, 40).proportion_ci(method="wilson")
        assert (estimate.low, estimate.high) == pytest.approx((wanted.low, wanted.high))
        assert estimate.method == "wilson"
    [difference] = summary.differences
    assert (difference.name, difference.baseline, difference.prompts) == ("b", "a", 40)
    assert difference.difference.value == pytest.approx(15 / 40)
    assert difference.p_value == pytest.approx(stats.binomtest(5, 25).pvalue)
    assert (difference.test, difference.significant) == ("mcnemar", True)


def test_samples_of_a_prompt_are_one_observation():
    plan = make_plan({"type": "exact"}, samples=2)
    cells = [cell(n, c, passed(n % 2)) for n in range(20) for c in (0, 1) for _ in range(2)]
    summary = summarize(plan, cells)
    accuracy = summary.columns[0].graders[0].accuracy
    assert (accuracy.value, accuracy.method) == (0.5, "bootstrap")
    single = summarize(make_plan({"type": "exact"}), cells[::2])
    narrow = single.columns[0].graders[0].accuracy
    # twice the same answers say no more than once
    assert accuracy.high - accuracy.low == pytest.approx(narrow.high - narrow.low, abs=0.06)
    assert summary.columns[0].graders[0].agreement == 1.0
    assert (summary.differences[0].test, summary.differences[0].significant) == ("bootstrap", False)


def test_what_has_no_grade_is_not_graded():
    plan = make_plan(JUDGE)
    none, good = Grade(error="unreadable"), Grade(0.75)
    cells = [
        cell(0, 0, good),
        cell(1, 0, none),
        cell(2, 0, Grade(error="there is no answer"), outcome="failed"),
        cell(3, 0, good, outcome="refused"),
        *(cell(n, 1, none, outcome="failed") for n in range(4)),
    ]
    first, second = summarize(plan, cells).columns
    assert (first.answered, first.refused, first.failed) == (3, 1, 1)
    [judged] = first.graders
    assert (judged.graded, judged.ungraded, judged.accuracy, judged.score.value) == (
        2,
        1,
        None,
        0.75,
    )
    assert (second.failed, second.graders[0].score, second.latency_ms.p95) == (4, None, None)
    assert summarize(plan, cells).differences == []


@pytest.mark.parametrize(
    ("choices", "consistent", "share", "detected"),
    [
        ([("first", "first")] * 12, 0, 1.0, True),
        ([("first", "second")] * 12, 12, 0.5, False),
        ([("first", "second"), ("second", "first")] * 6, 12, 0.5, False),
        ([("first", "first"), ("second", "second")] * 6, 0, 0.5, False),
        ([("tie", "tie")] * 12, 12, None, False),
    ],
)
def test_a_preference_for_a_place_is_found(choices, consistent, share, detected):
    plan = make_plan(PAIRWISE)
    cells = [cell(n, 0, Grade()) for n in range(12)]
    cells += [cell(n, 1, Grade(0.5, choices=pair)) for n, pair in enumerate(choices)]
    [bias] = summarize(plan, cells).position_bias
    found = None if bias.first_share is None else bias.first_share.value
    assert (bias.pairs, bias.consistent, found, bias.detected) == (12, consistent, share, detected)


def test_wins_against_the_baseline_are_a_difference_to_one_half():
    plan = make_plan(PAIRWISE)
    cells = [cell(n, 0, Grade()) for n in range(20)]
    cells += [cell(n, 1, Grade(1.0, choices=("second", "first"))) for n in range(20)]
    [difference] = summarize(plan, cells).differences
    assert (difference.difference.value, difference.significant) == (0.5, True)


def test_a_replay_is_compared_with_the_recorded_answers():
    plan = make_plan(is_replay=True, models=("a",), samples=2)
    cells = [cell(n, 0, digest=f"d{n}", cost_nanos=4, duration_ms=100 * n) for n in range(4)]
    cells += [
        cell(n, 1, digest=f"d{n}" if n else "x", prompt_tokens=3) for n in range(4) for _ in "ab"
    ]
    recorded, again = summarize(plan, cells).columns
    assert (recorded.name, again.unchanged, again.agreement) == ("recorded", 0.75, 1.0)
    assert (recorded.cells, again.cells, again.prompt_tokens) == (4, 8, 24)
    assert (recorded.latency_ms.p50, recorded.latency_ms.p95) == pytest.approx((150, 285))


def test_figures_are_written_as_markdown_and_read_again():
    plan = make_plan({"type": "exact"}, models=("a|b", "c"), baseline="c")
    cells = [cell(n, c, passed(c)) for n in range(9) for c in (0, 1)]
    summary = summarize(plan, cells)
    assert Summary.model_validate_json(summary.model_dump_json()) == summary
    lines = write_markdown(summary).splitlines()
    assert lines[0].startswith("| model | exact | agreement | cost |")
    assert lines[2].startswith(r"| a\|b | 0.000 [")
    assert len({line.replace(r"\|", "").count("|") for line in lines[:4]}) == 1
    [finding] = list_findings(summary)
    assert finding.startswith("exact: a|b against c: -1.000 [-1.000, -1.000]")
    assert finding.endswith(", significant")
