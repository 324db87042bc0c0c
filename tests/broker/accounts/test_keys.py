import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.accounts import is_mistyped, new_key

LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def test_a_scanner_can_tell_a_key_by_its_form():
    assert re.fullmatch(r"sk-wb-v1-[0-9A-Za-z]{49}", new_key())


@given(st.builds(new_key), st.integers(9, 57), st.sampled_from(LETTERS))
def test_every_wrong_letter_is_found(key, place, letter):
    typed = key[:place] + letter + key[place + 1 :]
    assert is_mistyped(typed) == (typed != key)


@given(st.builds(new_key), st.integers(9, 57))
def test_a_key_cut_off_or_run_on_is_mistyped(key, length):
    assert is_mistyped(key[:length])
    assert is_mistyped(key + "x")
    assert is_mistyped(key + "\N{BULLET}")


@given(st.builds(new_key), st.integers(9, 56))
def test_swapped_neighbours_are_found(key, place):
    typed = key[:place] + key[place + 1] + key[place] + key[place + 2 :]
    assert is_mistyped(typed) == (typed != key)


@pytest.mark.parametrize("key", ["", "anything", "sk-wb-the-owner-chose-it", "sk-wb-v2-x"])
def test_keys_of_another_form_have_no_checksum_to_fail(key):
    assert not is_mistyped(key)
