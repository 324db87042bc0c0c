"""Arbitrary bytes of batch inputs and tables give lines or errors of lines."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.batches import Inspector
from broker.batches.lines import LineError, read
from broker.batches.prompt_files import LineDefaults, SourceError, lines
from tests.fuzz.drawing import cut, fuzzed, mutated, planted
from tests.installation import chat

LINE = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": chat()}
FILE = b"".join(json.dumps(LINE | {"custom_id": f"c{n}"}).encode() + b"\n" for n in range(3))


@fuzzed(150)
@given(data=st.data())
def test_any_file_is_inspected_to_its_end(data: st.DataObject) -> None:
    whole = data.draw(mutated(FILE) | st.binary(max_size=300))
    at_once, in_pieces = Inspector(), Inspector()
    at_once.feed(whole)
    for piece in data.draw(cut(whole)):
        in_pieces.feed(piece)
    found = at_once.findings()
    assert found == in_pieces.findings()
    assert found.lines <= whole.count(b"\n") + 1
    assert found.unreadable <= found.lines


@fuzzed(50)
@given(line=planted(LINE))
def test_any_line_is_read_or_told_to_be_wrong(line: object) -> None:
    with contextlib.suppress(LineError):
        assert read(json.dumps(line).encode()).custom_id


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "jsonl", "txt"])
@fuzzed(20)
@given(data=st.data())
def test_any_source_of_the_command_is_read_or_told_to_be_wrong(
    tmp_path: Path, ending: str, data: st.DataObject
) -> None:
    valid = FILE if ending == "jsonl" else b'text,n\n"a ""b""",1\nc,2\n'
    path = tmp_path / f"source.{ending}"
    path.write_bytes(data.draw(mutated(valid) | st.binary(max_size=200)))
    template = "Say {text}" if ending in ("csv", "tsv", "parquet") else None
    with contextlib.suppress(SourceError):
        assert all(line.custom_id for line in lines(path, LineDefaults("sim/sim", template)))
