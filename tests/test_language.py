"""Docstrings say what a thing is or does: none begins with a question word."""

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
QUESTION = re.compile(
    r'^[rbf]*"""\s*(What|Who|Whose|Whom|Where|How|Whether|Which|Whatever|Whoever)\b'
)
FILES = [
    path
    for package in ("api", "broker", "cli", "workers", "tests")
    for path in sorted((ROOT / package).rglob("*.py"))
    if "versions" not in path.parts
]


def find_questions(source: str) -> list[str]:
    """Return the first lines of the triple-quoted texts that begin with a question word."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    texts = [token.string for token in tokens if token.type == tokenize.STRING]
    return [text.splitlines()[0] for text in texts if QUESTION.match(text)]


def test_no_docstring_begins_with_a_question_word():
    found = {str(path.relative_to(ROOT)): find_questions(path.read_text()) for path in FILES}
    assert len(found) > 500
    assert {path: texts for path, texts in found.items() if texts} == {}


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('"""What it does."""', 1),
        ('def f():\n    """Whether it is so."""', 1),
        ('LIMIT = 3\n"""How many."""', 1),
        ('"""Return what it does."""', 0),
        ('"What is this?"', 0),
    ],
)
def test_questions_are_found(source, count):
    assert len(find_questions(source)) == count
