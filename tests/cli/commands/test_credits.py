import re

import pytest


@pytest.mark.parametrize("amount", ["-5", "0", "ten", "nan"])
@pytest.mark.parametrize("direction", ["add", "withdraw"])
def test_an_amount_is_more_than_nothing(command, direction, amount):
    said = command("credits", direction, "default", amount, "--reference=r")
    assert said.exit_code == 2
    told = " ".join(re.sub(r"[^\w.:'` -]", "", said.output).split())
    assert "not more than 0" in told or "is not an amount in US dollars" in told


@pytest.mark.usefixtures("database")
def test_what_came_in_and_what_went_back_are_booked(command):
    assert "left 12.500000" in command("credits", "add", "default", "12.50").stdout
    assert (
        "left 10.000000"
        in command("credits", "withdraw", "default", "2.5", "--reference=back").stdout
    )
