"""What README, tutorials and how-to guides show is run as it stands, in order.

A block that cannot be run has a mark before it, which readers do not see:
`<!-- not run: why -->`.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.pages import MARK, PAGES, Block, blocks
from tests.docs.reader import Reader
from tests.house import KEY, REPOSITORY, House

FIRST = REPOSITORY / "docs/tutorials/first-ten-minutes.md"
ATTACHMENTS = REPOSITORY / "docs/how-to/send-images-and-documents.md"
SAID = re.compile(r"^waybill: (\S.*?) +http", re.MULTILINE)
ADMIN = "waybill keys create admin --everywhere"
READY = """\
waybill workspaces create Acme
waybill users create bob@example.com
waybill keys create ci --workspace acme
waybill submit "Hello" -m acme/small
"""


@dataclass(frozen=True, slots=True)
class Settled:
    """A house in which somebody has worked before the reader comes."""

    house: House
    addresses: Mapping[str, str]
    environment: Mapping[str, str]
    said: Mapping[str, str]

    def reader(self, directory: Path) -> Reader:
        return Reader(directory, self.environment, addresses=self.addresses, said=self.said)


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settled]:
    house = House()
    addresses = {
        "127.0.0.1:8080": f"127.0.0.1:{house.port}",
        "127.0.0.1:9100": f"127.0.0.1:{house.simulator_port}",
        "127.0.0.1:11434": f"127.0.0.1:{house.simulator_port}",
    }
    shown = "\n".join(configurations())
    house.config.write_text(shown.replace("127.0.0.1:9100", addresses["127.0.0.1:9100"]))
    environment = house.environment | {
        "PATH": f"{Path(sys.executable).parent}:{house.environment['PATH']}",
        "WAYBILL_URL": house.root,
        "WAYBILL_API_KEY": KEY,
        "ANTHROPIC_KEY": "any",
        "ANTHROPIC_SPARE": "any",
        "WEBHOOK_SECRET": "whsec_dGhlIHNlY3JldCBvZiBhIHJlYWRlcg==",
    }
    del environment["WAYBILL_CONFIG"]
    with house:
        first = Reader(tmp_path_factory.mktemp("first"), environment, addresses=addresses, said={})
        first.follow(Block("sh", ADMIN, None))
        environment["MANAGEMENT_KEY"] = first.said["key"]
        first.follow(Block("sh", READY, None))
        yield Settled(house, addresses, environment, first.said | {"key": KEY})


def configurations() -> Iterator[str]:
    """The demo's configuration, vendors that answer, and the models of one guide."""
    yield (REPOSITORY / "examples/waybill.toml").read_text()
    yield Path(__file__).with_name("waybill.toml").read_text()
    yield from (block.text for block in blocks(ATTACHMENTS) if block.language == "toml")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_page_can_be_followed(page: Path, settled: Settled, tmp_path: Path) -> None:
    reader = settled.reader(tmp_path / "here")
    for block in blocks(page):
        if block.why_not is None:
            reader.follow(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_mark_stands_before_a_block_and_says_why(page: Path) -> None:
    marked = [block for block in blocks(page) if block.why_not is not None]
    assert page.read_text().count(MARK) == len(marked)


def test_the_first_tutorial_shows_what_is_said_at_the_start(settled: Settled) -> None:
    shown = [name for name in SAID.findall(FIRST.read_text()) if name != "listening on"]
    assert shown == ["API", "Docs", "Flower", "Simulator", "First user"]
    said = SAID.findall(settled.house.log_path.read_text())
    assert said == [name for name in shown if name != "Flower"]
