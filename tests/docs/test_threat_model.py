"""Each promise of the threat model names tests that exist, and each attack is a promise."""

import re

from tests.installation import REPOSITORY

PAGE = REPOSITORY / "docs/explanation/threat-model.md"
PLACE = re.compile(r"`(tests/[\w/.]+)`")


def test_every_promise_has_its_test():
    rows = [row for row in PAGE.read_text().splitlines() if row.startswith("| ")]
    promises = [row for row in rows if "`tests/" in row]
    assert len(promises) > 20
    for row in promises:
        assert all((REPOSITORY / place).exists() for place in PLACE.findall(row)), row


def test_every_attack_is_listed():
    attacks = {
        f"tests/security/{path.name}" for path in REPOSITORY.glob("tests/security/test_*.py")
    }
    missing = attacks - set(PLACE.findall(PAGE.read_text()))
    assert not missing, f"{PAGE.name} has no row for {sorted(missing)}"
