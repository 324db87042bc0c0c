import json
from codecs import BOM_UTF8

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broker.batches import Inspector
from broker.batches import lines as inspection
from broker.batches.lines import LISTED, Splitter


def inspected(data, size=7):
    inspector = Inspector()
    for at in range(0, len(data), size):
        inspector.feed(data[at : at + size])
    return inspector.findings()


def jsonl(*lines):
    return b"\n".join(json.dumps(each).encode() for each in lines)


def good(custom_id):
    return {"custom_id": custom_id, "body": {"messages": []}}


def test_good_lines_are_counted_and_blank_ones_are_not():
    found = inspected(jsonl(good("a"), good("ü")) + b"\r\n\n   \n" + jsonl(good("c")))
    assert (found.lines, found.unreadable, found.duplicates, found.stored) == (3, 0, 0, None)


@pytest.mark.parametrize(
    ("line", "code", "param"),
    [
        (b"{", "invalid_json_line", None),
        (b'"text"', "invalid_json_line", None),
        (b'{"body": {}}', "missing_required_parameter", "custom_id"),
        (b'{"custom_id": 7, "body": {}}', "missing_required_parameter", "custom_id"),
        (b'{"custom_id": "", "body": {}}', "missing_required_parameter", "custom_id"),
        (b'{"custom_id": "a\\u0000", "body": {}}', "missing_required_parameter", "custom_id"),
        (b'{"custom_id": "\\ud800", "body": {}}', "invalid_json_line", None),
        (b'{"custom_id": "a"}', "missing_required_parameter", "body"),
        (b'{"custom_id": "a", "method": "GET", "body": {}}', "invalid_method", "method"),
        (b'{"custom_id": "a", "url": "/v1/files", "body": {}}', "invalid_url", "url"),
    ],
)
def test_a_bad_line_is_named(line, code, param):
    found = inspected(jsonl(good("x")) + b"\n" + line)
    [problem] = found.problems
    assert (problem["code"], problem["line"], problem["param"]) == (code, 2, param)
    assert (found.lines, found.unreadable) == (2, 1)


def test_a_custom_id_that_comes_twice_is_found_also_on_a_bad_line():
    found = inspected(jsonl(good("a"), {"custom_id": "a"}, good("a")))
    assert (found.duplicates, found.unreadable) == (2, 1)
    assert [each["line"] for each in found.problems if each["code"] == "duplicate_custom_id"] == [
        2,
        3,
    ]


def test_all_bad_lines_are_counted_though_only_some_are_listed():
    found = inspected(b"x\n" * (LISTED + 50), 64)
    assert (found.lines, found.unreadable, len(found.problems)) == (
        LISTED + 50,
        LISTED + 50,
        LISTED,
    )


def test_a_line_without_end_is_not_kept(monkeypatch):
    monkeypatch.setattr(inspection, "LONGEST_LINE", 50)
    endless = b'{"custom_id": "a", "body": {"x": "' + b"y" * 500 + b'"}}\n'
    found = inspected(endless + jsonl(good("b")))
    assert (found.lines, found.unreadable) == (2, 1)


@example(lines=[BOM_UTF8], size=1, start=0)
@given(
    lines=st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"."))),
    size=st.integers(1, 9),
    start=st.integers(0, 3),
)
def test_lines_are_the_same_whatever_the_pieces_and_wherever_one_begins(lines, size, start):
    data = b"\n".join(lines)
    whole = split(data, size)
    plain = data.removeprefix(BOM_UTF8).split(b"\n")
    assert [line for line, _ in whole] == [line for line in plain if line.strip()]
    # whoever goes on at a line's end finds the same lines after it, at the same places
    for index, (_, end) in enumerate(whole[:start]):
        assert split(data[end:], size, at=end) == whole[index + 1 :]


def split(data, size, at=0):
    splitter = Splitter(at)
    found = [
        each
        for place in range(0, len(data), size)
        for each in splitter.feed(data[place : place + size])
    ]
    return found + list(splitter.end())


def test_a_byte_order_mark_is_not_part_of_the_first_line():
    data = BOM_UTF8 + b"a\r\nb\n"
    assert split(data, 2) == [(b"a\r", 6), (b"b", 8)]
    assert inspected(BOM_UTF8 + jsonl(good("a"))).unreadable == 0
