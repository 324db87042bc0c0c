import pytest

from broker.spreadsheets import cell


@pytest.mark.parametrize(
    "text", ["=1+1", "+evil", "-x", "@SUM(1)", "\t=1", "\r=1", "-1+2", "+", "-inf", "=1e5"]
)
def test_what_a_spreadsheet_would_run_is_made_text(text):
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["plain", "", "-3.5", "+1e5", "-.5", 7, -0.5, None, "a=b", "1-2"])
def test_everything_else_stays_as_it_is(value):
    assert cell(value) == value
