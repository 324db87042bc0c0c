"""The pages that readers follow, and the blocks of code that they show."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.installation import REPOSITORY

PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "docs/README.md",
    *sorted((REPOSITORY / "docs/tutorials").glob("*.md")),
    *sorted((REPOSITORY / "docs/how-to").glob("*.md")),
]
LANGUAGES = frozenset({"sh", "console", "python", "toml", "js", "", "json", "yaml"})
MARK = "<!-- not run"
BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<why_not>\S[^\n]*) -->\n)?"
    r"^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of code; `why_not` is the reason where it is marked as not run."""

    language: str
    text: str
    why_not: str | None


def blocks(page: Path) -> list[Block]:
    """Return what a page shows, in order."""
    return [
        Block(match["language"], match["text"], match["why_not"])
        for match in BLOCK.finditer(page.read_text())
    ]
