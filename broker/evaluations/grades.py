"""Grades of answers, and the graders that need nothing but the texts. Pure."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import orjson

from broker.completion import Json
from broker.evaluations.grader_options import (
    ContainsGrader,
    ExactGrader,
    NumericGrader,
    RegexGrader,
)

_NUMBER = re.compile(r"[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")
LONGEST_SEARCHED = 200_000  # characters of an answer in which a number is looked for


@dataclass(frozen=True, slots=True)
class Grade:
    """A grader's result for one answer."""

    score: float | None = None  # from 0 to 1; None: not graded
    passed: bool | None = None  # None: the grader only scores
    reason: str | None = None
    error: str | None = None  # why there is no score
    choices: Sequence[str] = ()  # of a pairwise judge: baseline first, then baseline second


def dump_grades(grades: Iterable[Grade]) -> str:
    """Return grades as they are stored."""
    return orjson.dumps([asdict(grade) for grade in grades]).decode()


def load_grades(text: str) -> list[Grade]:
    """Return stored grades."""
    return [Grade(**each | {"choices": tuple(each["choices"])}) for each in orjson.loads(text)]


def grade_by(passed: bool) -> Grade:  # it is the whole result
    """Return the grade of an answer that passed or not."""
    return Grade(1.0 if passed else 0.0, passed)


def grade_exact(grader: ExactGrader, answer: str, accepted: Sequence[str]) -> Grade:
    """Grade whether an answer is one of the accepted ones."""

    def normalize(text: str) -> str:
        text = text.strip() if grader.strip else text
        return text.casefold() if grader.ignore_case else text

    return grade_by(normalize(answer) in {normalize(text) for text in accepted})


def grade_contains(grader: ContainsGrader, answer: str, accepted: Sequence[str]) -> Grade:
    """Grade whether an answer contains one of the expected texts, or all of them."""
    fold: Callable[[str], str] = str.casefold if grader.ignore_case else str
    folded = fold(answer)
    found = [fold(text) in folded for text in accepted]
    return grade_by(all(found) if grader.all else any(found))


def grade_numeric(grader: NumericGrader, answer: str, accepted: Sequence[str]) -> Grade:
    """Grade whether the last number of an answer is close to an accepted one."""
    value = find_number(answer)
    wanted = [number for text in accepted if (number := find_number(text)) is not None]
    if not wanted:
        return Grade(error="the expected answer is not a number")
    if value is None:
        return Grade(0.0, passed=False, reason="there is no number in the answer")
    return grade_by(any(_is_close(grader, value, number) for number in wanted))


def find_number(text: str) -> float | None:
    """Return the last number of a text, without separators of thousands."""
    found = _NUMBER.findall(text[-LONGEST_SEARCHED:])
    value = float(found[-1].replace(",", "")) if found else math.nan
    return value if math.isfinite(value) else None


def list_patterns(grader: RegexGrader, accepted: Sequence[str]) -> Sequence[str]:
    """Return the patterns of which one must match."""
    return accepted if grader.pattern is None else [grader.pattern]


def _is_close(grader: NumericGrader, value: float, wanted: float) -> bool:
    allowed = max(grader.tolerance, grader.relative_tolerance * abs(wanted))
    return abs(value - wanted) <= allowed + 1e-12 * abs(wanted)


def describe_grade(grade: Grade) -> Json:
    """Render a grade for results."""
    return {
        "score": grade.score,
        "passed": grade.passed,
        "reason": grade.reason,
        "error": grade.error,
        "choices": list(grade.choices),
    }
