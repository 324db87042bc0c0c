"""A running Waybill for the tests that talk to it from outside."""

from collections.abc import Iterator

import pytest

from tests.house import House


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    """One Waybill for all ordinary tests; whatever they did, at the end its books balance
    and its log holds no secret."""
    with House({"WAYBILL_KEEP_ALIVE_SECONDS": "0.4"}) as house:
        yield house
        house.await_idle()
        house.audit()
        assert house.leaked() == []
