"""A worker whose consumer has frozen does not call itself alive."""

import pytest

from workers.runtime import consumer
from workers.runtime.consumer import FROZEN_SECONDS, Consumer


@pytest.mark.parametrize(
    ("ticked_at", "consuming"),
    [(None, True), (100.0, True), (101.0 - FROZEN_SECONDS, True), (99.0 - FROZEN_SECONDS, False)],
    ids=["not started", "just now", "a while ago", "too long ago"],
)
def test_it_consumes_as_long_as_its_loop_turns(
    monkeypatch: pytest.MonkeyPatch, ticked_at: float | None, *, consuming: bool
) -> None:
    monkeypatch.setattr(consumer.time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(Consumer, "_ticked_at", ticked_at)
    assert Consumer.is_consuming() is consuming
