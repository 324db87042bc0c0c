"""The documentation uses the words of the glossary, and no retired ones."""

import re
from pathlib import Path

import pytest

from tests.installation import REPOSITORY
from tests.vocabulary import RETIRED, find_retired

GLOSSARY = REPOSITORY / "docs/reference/glossary.md"
GENERATED = {"configuration.md"}  # the docstrings of settings
PAGES = [
    page
    for page in [*REPOSITORY.glob("*.md"), *sorted((REPOSITORY / "docs").rglob("*.md"))]
    if page.name not in GENERATED
]
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\([^)]*\)|^\[[^\]]+\]: .*$", re.MULTILINE)
TERMS = re.findall(r"^- \*\*(.+?)\*\*: ", GLOSSARY.read_text(), re.MULTILINE)


def prose(page: Path) -> str:
    """Return what a page says, without its code, public names and link targets."""
    return LINK.sub("", CODE.sub("", page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_uses_a_retired_word(page: Path) -> None:
    replacements = "; ".join(f"{word} → {better}" for word, better in RETIRED)
    found = find_retired(prose(page))
    assert found == [], f"retired words in {page.name}: {found} ({replacements})"


def test_the_retired_words_are_found() -> None:
    assert find_retired("A dearer house was told.") == ["dearer", "house", "told"]


def test_the_terms_are_in_alphabetical_order_and_unique() -> None:
    assert len(TERMS) >= 60
    assert sorted(set(TERMS), key=str.lower) == TERMS


@pytest.mark.parametrize("term", TERMS)
def test_every_term_is_used(term: str) -> None:
    pages = [page for page in PAGES if page != GLOSSARY]
    word = re.compile(rf"\b{re.escape(term)}", re.IGNORECASE)
    assert any(word.search(page.read_text()) for page in pages), f"no page uses {term!r}"


def test_lines_of_pages_have_at_most_140_characters() -> None:
    long = [
        f"{page.name}:{number}"
        for page in PAGES
        for number, line in enumerate(page.read_text().splitlines(), 1)
        if len(line) > 140
    ]
    assert long == []
