"""Links between our own documents lead somewhere."""

import re

from tests.house import REPOSITORY

LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")


def test_every_relative_link_leads_to_a_file() -> None:
    pages = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(REPOSITORY)}: {target}"
        for page in pages
        for target in LINK.findall(page.read_text())
        if not (page.parent / target).exists()
    ]
    assert len(pages) > 10
    assert broken == []
