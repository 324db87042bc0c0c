"""Recorded exchanges: those in `recordings/`, and more where `WAYBILL_TEST_EXCHANGES` names a file.

A line of a file is one exchange in JSON; `recordings/README.md` names the fields. The exchanges of
the repository are always there. Others are read where they lie and are never copied into it.
"""

import json
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

OWN = Path(__file__).parent / "recordings"
_NAMED = os.environ.get("WAYBILL_TEST_EXCHANGES")
MORE = Path(_NAMED or Path(__file__).parents[2].parent / "shared/exchanges/dev.jsonl")

Exchange = dict[str, Any]


@cache
def own_exchanges() -> tuple[Exchange, ...]:
    """Return the exchanges of the repository."""
    return tuple(each for path in sorted(OWN.glob("*.jsonl")) for each in _read(path))


@cache
def more_exchanges() -> tuple[Exchange, ...]:
    """Return the exchanges beyond the repository's; none where there is no such file.

    Raises FileNotFoundError where the variable names a file that does not exist.
    """
    return tuple(_read(MORE)) if _NAMED or MORE.exists() else ()


def all_exchanges() -> tuple[Exchange, ...]:
    """Return every exchange there is."""
    return own_exchanges() + more_exchanges()


def parametrize(exchanges: Iterable[Exchange]) -> list[Any]:
    """Return one pytest parameter for each exchange, named by its id."""
    return [pytest.param(exchange, id=exchange["id"]) for exchange in exchanges]


def find_exchange(name: str) -> Exchange:
    """Return a fresh copy of the exchange with this id; skip the test where it is not there."""
    found = next((each for each in all_exchanges() if each["id"] == name), None)
    if found is None:
        pytest.skip(f"no exchange {name} (WAYBILL_TEST_EXCHANGES names a file with more)")
    copy: Exchange = json.loads(json.dumps(found))
    return copy


def _read(path: Path) -> list[Exchange]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
