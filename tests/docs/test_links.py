"""Links between our own documents lead somewhere."""

import re

import yaml

from broker.providers.vendors import vendors
from tests.installation import REPOSITORY

README = REPOSITORY / "README.md"
LINK = re.compile(r"\](?:\(|: )(?!https?://|#|mailto:)([^)#\s]+)")


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


def test_every_guide_is_in_the_index() -> None:
    index = REPOSITORY / "docs/README.md"
    listed = {(index.parent / target).resolve() for target in LINK.findall(index.read_text())}
    pages = {*(REPOSITORY / "docs").rglob("*.md")} - {index}
    assert {page for page in pages if page.parent.name != "decisions"} <= listed


def test_the_first_commands_of_the_readme_start_the_demo_and_the_tests() -> None:
    commands = re.findall(
        r"^(?:make|\. |waybill|export|curl) ?\S+", README.read_text(), re.MULTILINE
    )
    assert commands[:2] == ["make demo", "make test"]


def test_the_keys_that_compose_passes_on_are_in_the_example_and_known() -> None:
    service = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["x-waybill"]
    passed = {name for name in service["environment"] if name.endswith("_API_KEY")}
    example = (REPOSITORY / ".env.example").read_text()
    assert passed == set(re.findall(r"^(\w+_API_KEY)=", example, re.MULTILINE))
    assert passed <= {name for vendor in vendors().values() for name in vendor.key_variables}
