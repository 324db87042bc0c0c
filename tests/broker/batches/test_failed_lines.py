"""The lines of a batch that failed, asked once more."""

import orjson
import pytest

from broker.batches.results import failed_lines


@pytest.mark.parametrize(
    ("body", "then"),
    [
        ({"model": "a/b"}, {"model": "x/y"}),
        ({"models": ["a/b", "c/d"], "seed": 1}, {"model": "x/y", "seed": 1}),
        ({"model": "@preset/mail"}, {"model": "x/y@preset/mail"}),
        ({"model": "a/b@preset/mail"}, {"model": "x/y@preset/mail"}),
        ({"preset": "mail"}, {"preset": "mail", "model": "x/y"}),
    ],
)
def test_another_model_takes_the_place_of_each_lines_own(body, then):
    raw = orjson.dumps({"custom_id": "a", "body": body})
    [line] = failed_lines([(b"done", 4), (raw, 9)], {1}, "x/y")
    assert orjson.loads(line)["body"] == then


def test_without_another_model_lines_stay_as_they_are():
    lines = [(b'{"a": 1}\r\n', 10), (b"no JSON", 17)]
    assert list(failed_lines(lines, (), None)) == [b'{"a": 1}\n', b"no JSON\n"]
    assert list(failed_lines(lines, {1}, "x/y")) == [b"no JSON\n"]
