"""The circuit breaker's rules, without storage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.providers.endpoint_stats import Circuit
from broker.providers.health import breaker
from broker.providers.health.breaker import (
    CLOSED,
    COOL_DOWN_MS,
    LONGEST_COOL_DOWN_MS,
    REFUSALS,
    Breaker,
)

NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("ok", "failed", "opens"),
    [
        (0, 1, False),  # new-api: one error disabled a channel
        (0, 4, False),
        (0, 5, True),
        (1, 4, False),
        (1, 9, True),
        (11, 9, False),
        (10, 10, True),
        (70, 30, False),  # a provider that fails 30 % serves less, but serves
        (0, 0, False),
    ],
)
def test_how_much_opens(ok, failed, opens):
    assert breaker.exceeds_threshold(ok, failed) is opens


def test_open_then_half_open_then_closed():
    opened = breaker.open_circuit(CLOSED, NOW)
    assert opened.circuit(NOW) is Circuit.OPEN
    later = NOW + COOL_DOWN_MS
    assert opened.circuit(later) is Circuit.HALF_OPEN
    probing = breaker.start_probe(opened, later, 60_000)
    assert not probing.allows_probe(later + 59_999)  # one at a time
    assert probing.allows_probe(later + 60_000)  # one that was lost blocks nobody for ever
    closed = breaker.record_probe(probing, later, succeeded=True)
    assert closed.circuit(later) is Circuit.CLOSED
    assert closed.since == later  # what failed before is forgiven


def test_every_opening_in_a_row_doubles_the_cool_down():
    circuit, now, waits = CLOSED, NOW, []
    for _ in range(8):
        circuit = breaker.record_probe(breaker.open_circuit(circuit, now), now, succeeded=None)
        waits.append(circuit.until - now)
        now = circuit.until
    assert waits[:3] == [COOL_DOWN_MS, 2 * COOL_DOWN_MS, 4 * COOL_DOWN_MS]
    assert waits[-1] == LONGEST_COOL_DOWN_MS


def test_a_long_quiet_time_makes_the_first_opening_first_again():
    worn = Breaker(since=NOW, trips=6)
    assert breaker.open_circuit(worn, NOW + 1).trips == 7
    assert breaker.open_circuit(worn, NOW + breaker.FORGIVEN_MS + 1).trips == 1


def test_retry_after_is_honoured():
    assert breaker.open_circuit(CLOSED, NOW, retry_after_ms=90_000).until == NOW + 90_000


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 300_000)), min_size=1))
def test_a_later_end_replaces_an_earlier_one_and_never_the_other_way(steps):  # litellm#40130
    circuit, now, latest = breaker.open_circuit(CLOSED, NOW), NOW, 0
    for passed, retry_after in steps:
        now += passed
        if circuit.circuit(now) is Circuit.OPEN:
            latest = max(circuit.until, now + retry_after)
            circuit = breaker.extend_open(circuit, now, retry_after)
            assert circuit.until == latest
        again = breaker.open_circuit(circuit, now, retry_after_ms=retry_after)
        assert again.until >= max(circuit.until, now + retry_after)


def test_a_credential_is_disabled_by_refusals_in_a_row_only():
    circuit = CLOSED
    for _ in range(REFUSALS - 1):
        circuit = breaker.record_refusal(circuit, NOW, credential="k1", why="401")
    assert circuit.circuit(NOW) is Circuit.CLOSED
    calmed = breaker.record_probe(circuit, NOW, succeeded=True)
    assert calmed.refusals == 0
    disabled = breaker.record_refusal(circuit, NOW, credential="k1", why="401")
    assert disabled.circuit(NOW) is Circuit.OPEN
    assert (
        breaker.record_refusal(circuit, NOW, credential="k2", why="401").refusals == 1
    )  # another key


def test_what_has_recovered_is_forgotten():
    recovered = breaker.record_probe(breaker.open_circuit(CLOSED, NOW), NOW, succeeded=True)
    assert not breaker.is_obsolete(recovered, NOW + 1)
    assert breaker.is_obsolete(recovered, NOW + breaker.FORGIVEN_MS + 1)
    assert not breaker.is_obsolete(breaker.open_circuit(CLOSED, NOW), NOW + 10**9)
