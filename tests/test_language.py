"""Code uses the words of the glossary, and docstrings are statements."""

import io
import re
import tokenize
from pathlib import Path

import pytest

from tests.vocabulary import (
    RETIRED,
    RETIRED_IN_CODE,
    find_retired,
    find_retired_in_code,
    list_words,
)

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


@pytest.mark.parametrize("package", ["api", "broker", "cli", "workers"])
def test_code_uses_no_retired_word(package):
    files = [path for path in FILES if path.is_relative_to(ROOT / package)]
    found = [each for path in files for each in find_retired_in_code(path, ROOT)]
    assert len(files) > 20
    assert found == [], "\n".join(f"{word} → {better}" for word, better in RETIRED)


def test_what_code_may_not_say_is_retired_everywhere():
    assert [word for word in RETIRED_IN_CODE if not find_retired(word)] == []


def test_words_of_code_are_found():
    source = 'TOLD_AT = 1  # a dear one\n\n\ndef isSealed():\n    """Of a\n    purse."""\n'
    found = [(line, word) for line, word in list_words(source) if word in RETIRED_IN_CODE]
    assert found == [(1, "told"), (1, "dear"), (4, "sealed"), (6, "purse")]
