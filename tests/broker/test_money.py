from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.money import nanos_from_usd, usd, usd_text


@pytest.mark.parametrize(
    ("dollars", "nanos"),
    [
        ("1", 10**9),
        ("0.15", 150_000_000),
        (0.1, 100_000_000),
        (0.1 + 0.2, 300_000_000),
        ("0.000000001", 1),
        (Decimal("1e-9"), 1),
        ("0.0000000004", 0),
        ("-2.5", -2_500_000_000),
        (12345678, 12_345_678 * 10**9),
    ],
)
def test_dollars_are_read_exactly(dollars, nanos):
    assert nanos_from_usd(dollars) == nanos


@pytest.mark.parametrize("junk", ["", "free", "1,5", "nan", "sNaN", "inf", "-Infinity", "1e999999"])
def test_what_is_no_amount_is_refused(junk):
    with pytest.raises(ValueError, match="not an amount"):
        nanos_from_usd(junk)


@pytest.mark.parametrize(
    ("nanos", "text"),
    [(0, "0"), (1, "0.000000001"), (150_000_000, "0.15"), (10**10, "10"), (-25 * 10**8, "-2.5")],
)
def test_amounts_as_text_have_no_exponent_and_no_idle_zeros(nanos, text):
    assert usd_text(nanos) == text


@given(st.integers(-(10**18), 10**18))
def test_text_and_back_is_the_same_amount(nanos):
    assert nanos_from_usd(usd_text(nanos)) == nanos


@given(st.integers(-(10**15), 10**15))
def test_the_number_we_show_reads_back_as_the_same_amount(nanos):
    assert nanos_from_usd(usd(nanos)) == nanos
