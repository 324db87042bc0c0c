"""The commands of README, tutorials and guides run as shown, in order.

A block that cannot be run has a mark before it, which readers do not see:
`<!-- not run: why -->`.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.docs.pages import LANGUAGES, MARK, PAGES, Block, blocks
from tests.docs.reader import OWN, Programs, Reader
from tests.docs.settled import Settled, settled_installation
from tests.e2e.programs import find_agents_python, find_package
from tests.installation import REPOSITORY

FIRST = REPOSITORY / "docs/tutorials/first-ten-minutes.md"
SAID = re.compile(r"^waybill: (\S.*?) +http", re.MULTILINE)


PROGRAMS: Mapping[str, Callable[[], Programs]] = {
    "use-codex": lambda: Programs(modules=find_package("@openai/codex")),
    "use-ai-sdk": lambda: Programs(modules=find_package("@ai-sdk/openai")),
    "use-langchain": lambda: Programs(python=find_agents_python()),
    "use-openai-agents": lambda: Programs(python=find_agents_python()),
}
"""The programs of pages that need others than ours."""


@pytest.fixture(scope="module")
def settled() -> Iterator[Settled]:
    with settled_installation() as settled:
        yield settled


@pytest.mark.parametrize("page", [p for p in PAGES if p != FIRST], ids=lambda path: path.stem)
def test_a_page_can_be_followed(page: Path, settled: Settled, tmp_path: Path) -> None:
    programs = PROGRAMS[page.stem]() if page.stem in PROGRAMS else OWN
    _follow(page, settled.reader(tmp_path, programs))


def test_the_first_tutorial_kills_a_worker_and_its_job_is_answered(
    settled: Settled, tmp_path: Path
) -> None:
    _follow(FIRST, settled.reader(tmp_path))
    slow = "SELECT outcome FROM attempts WHERE model = 'acme/slow' ORDER BY number"
    assert [outcome for (outcome,) in settled.installation.ask(slow)] == ["unknown", "ok"]
    for line in (
        "worker-1 died (signal SIGKILL)",
        "1 running jobs of worker-1 were returned to their queues",
    ):
        assert line in FIRST.read_text()
        assert line in settled.installation.log_path.read_text()


def _follow(page: Path, reader: Reader) -> None:
    run = [block for block in blocks(page) if block.why_not is None]
    for language, group in itertools.groupby(run, lambda block: block.language):
        if language in {"python", "js"}:  # one program, as its imports take seconds
            reader.follow(Block(language, "".join(block.text for block in group), None))
        else:
            for block in group:
                reader.follow(block)


def test_the_first_tutorial_shows_what_is_said_at_the_start(settled: Settled) -> None:
    shown = [name for name in SAID.findall(FIRST.read_text()) if name != "listening on"]
    assert shown == ["API", "Docs", "Flower", "Simulator", "First user"]
    said = SAID.findall(settled.installation.log_path.read_text())
    assert said == [name for name in shown if name != "Flower"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_no_block_is_passed_over_without_a_reason(page: Path) -> None:
    shown = blocks(page)
    assert {block.language for block in shown} <= LANGUAGES
    assert page.read_text().count(MARK) == sum(block.why_not is not None for block in shown)
