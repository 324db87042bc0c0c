"""A random run sees a gap, a repeat and a text that is not the stored one."""

import json

import pytest

from tests.chaos.following import Followed
from tests.e2e.sse import Frame


def chunk(number, text="x", name="chunk"):
    return Frame(number, name, json.dumps({"choices": [{"delta": {"content": text}}]}))


def told(number, name):
    return Frame(number, name, "{}")


@pytest.mark.parametrize(
    ("frames", "flaws"),
    [
        ([told(1, "started"), chunk(2), chunk(3), told(4, "completed")], []),
        ([chunk(2, name=""), chunk(3, name=""), chunk(4), told(5, "completed")], []),
        ([chunk(2), chunk(4)], ["a gap between 2 and 4"]),
        ([chunk(2), chunk(2)], ["2 came after 2"]),
        ([chunk(2), told(1000, "retrying"), told(1001, "started"), chunk(1002)], []),
    ],
)
def test_numbers_follow_each_other_unless_it_begins_anew(frames, flaws):
    followed = Followed("job_1")
    for frame in frames:
        followed.take(frame)
    assert followed.flaws == flaws


def test_the_text_is_that_of_the_last_attempt():
    followed = Followed("job_1")
    for frame in (chunk(2, "half"), told(1000, "retrying"), chunk(1001, "wh"), chunk(1002, "ole")):
        followed.take(frame)
    assert followed.text == "whole"
