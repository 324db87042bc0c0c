"""What the tutorials show is run as it stands: every `sh` and `python` block, in order."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.demo.house import DemoHouse
from tests.house import REPOSITORY, clean_environment

TUTORIALS = sorted((REPOSITORY / "docs/tutorials").glob("*.md"))
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAID = re.compile(r"^waybill: (\S.*?) +http", re.MULTILINE)
ERROR = re.compile(r'"error": ?[{"]')
COMMANDS = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoHouse]:
    house = DemoHouse(tmp_path_factory.mktemp("demo"), flower=False)
    with house.running(workers=1):
        yield house


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_can_be_followed(tutorial: Path, demo: DemoHouse, tmp_path: Path) -> None:
    blocks = BLOCK.findall(tutorial.read_text())
    assert len(blocks) >= 5
    (tmp_path / "examples").symlink_to(REPOSITORY / "examples")
    environment = clean_environment() | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "WAYBILL_URL": demo.server.url,
        "WAYBILL_API_KEY": demo.server.key,
    }
    for language, block in blocks:
        ended = subprocess.run(
            [*COMMANDS[language], block],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said = f"{block}\n→ {ended.stdout}\n{ended.stderr}\n{demo.said()}"
        assert ended.returncode == 0, said
        assert not ERROR.search(ended.stdout), said
        assert ended.stdout or ended.stderr, f"{block}\nsays nothing"


def test_the_first_tutorial_shows_what_is_said_at_the_start(demo: DemoHouse) -> None:
    shown = SAID.findall((REPOSITORY / "docs/tutorials/first-ten-minutes.md").read_text())
    shown = [name for name in shown if name != "listening on"]
    assert shown == ["API", "Docs", "Flower", "Simulator", "First user"]
    assert SAID.findall(demo.said()) == [name for name in shown if name != "Flower"]
