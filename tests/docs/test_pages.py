"""What README, tutorials and how-to guides show is run as it stands, in order.

A block that cannot be run has a mark before it, which readers do not see:
`<!-- not run: why -->`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import LANGUAGES, MARK, PAGES, blocks
from tests.docs.settled import Settled, settled_house
from tests.house import REPOSITORY

FIRST = REPOSITORY / "docs/tutorials/first-ten-minutes.md"
SAID = re.compile(r"^waybill: (\S.*?) +http", re.MULTILINE)


@pytest.fixture(scope="module")
def settled() -> Iterator[Settled]:
    with settled_house() as settled:
        yield settled


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_page_can_be_followed(page: Path, settled: Settled, tmp_path: Path) -> None:
    reader = settled.reader(tmp_path)
    for block in blocks(page):
        if block.why_not is None:
            reader.follow(block)


def test_the_first_tutorial_shows_what_is_said_at_the_start(settled: Settled) -> None:
    shown = [name for name in SAID.findall(FIRST.read_text()) if name != "listening on"]
    assert shown == ["API", "Docs", "Flower", "Simulator", "First user"]
    said = SAID.findall(settled.house.log_path.read_text())
    assert said == [name for name in shown if name != "Flower"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_no_block_is_passed_over_without_a_reason(page: Path) -> None:
    shown = blocks(page)
    assert {block.language for block in shown} <= LANGUAGES
    assert page.read_text().count(MARK) == sum(block.why_not is not None for block in shown)
