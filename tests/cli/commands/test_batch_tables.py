"""Tables in and out of `waybill batch`, and what a batch is made from."""

import json
import sys
from pathlib import Path

import orjson
import pytest

from broker.batches.prompt_files import LineDefaults, SourceError, Template, TemplateError, lines
from broker.table_files import TableError, read_rows, writing_rows
from cli.commands.batch.progress import Pace, describe_batch
from cli.commands.batch.results import write_lines, write_table

ROWS = [
    {"text": "bread", "to": "fr", "n": "1"},
    {"text": 'say "hi",\nthen go', "to": "de", "n": ""},
]


@pytest.fixture(params=[".csv", ".tsv", ".parquet"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"rows{request.param}"
    with writing_rows(path, ["text", "to", "n"]) as write:
        for row in ROWS:
            write(row)
    return path


def made(path: Path, **asked: object) -> list[dict]:
    return [json.loads(each.raw) for each in lines(path, LineDefaults(**asked))]


def test_a_table_comes_back_as_it_was_written(table: Path) -> None:
    assert list(read_rows(table)) == ROWS


def test_a_row_becomes_a_request(table: Path) -> None:
    body = {"max_tokens": 9}
    found = made(table, model="acme/small", template="Translate {text} to {to}", body=body)
    assert [each["custom_id"] for each in found] == ["row-1", "row-2"]
    assert (found[0]["method"], found[0]["url"]) == ("POST", "/v1/chat/completions")
    assert found[0]["body"] == {
        "model": "acme/small",
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "Translate bread to fr"},
        ],
    }
    assert found[1]["body"]["messages"][0]["content"] == 'Translate say "hi",\nthen go to de'


def test_a_custom_id_column_names_the_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("custom_id,text\nfirst,a\n,b\n")
    found = made(path, model="m/x", template="{text}")
    assert [each["custom_id"] for each in found] == ["first", "row-2"]


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"model": "m/x"}, "--template"),
        ({"template": "{text}"}, "-m"),
        ({"model": "m/x", "template": "no variable"}, "names no column"),
        ({"model": "m/x", "template": "{nothing}"}, "there are text, to, n"),
    ],
)
def test_what_does_not_fit_a_table_is_told(table: Path, asked: dict, word: str) -> None:
    with pytest.raises(SourceError, match=word):
        made(table, **asked)


def test_braces_and_what_is_no_text() -> None:
    template = Template("{{x}} {a} {b} {c}")
    assert template.variables == ["a", "b", "c"]
    assert template.fill({"a": 1.5, "b": ["x"], "c": None}) == '{x} 1.5 ["x"] '
    with pytest.raises(TemplateError):
        Template("{a.__class__}").check(["a"])


def test_lines_of_prompts_and_of_openais_format_may_be_mixed(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    own = {"custom_id": "own", "method": "POST", "url": "/v1/embeddings", "body": {"input": "x"}}
    path.write_text(f'"a prompt"\n\n{json.dumps(own)}\n{{"prompt": "b", "custom_id": "two"}}\n')
    found = made(path, model="m/x")
    assert [each["custom_id"] for each in found] == ["line-1", "own", "two"]
    assert found[1] == own | {"body": {"input": "x", "model": "m/x"}}
    assert found[2]["body"] == {"messages": [{"role": "user", "content": "b"}], "model": "m/x"}


@pytest.mark.parametrize(
    ("text", "word"), [("{", "line 1: not JSON"), ("7", "line 1"), ('"x"', "-m")]
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(text)
    with pytest.raises(SourceError, match=word):
        made(path)


def test_every_bad_line_is_named_as_an_editor_counts(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    twice = '{"prompt": "b", "custom_id": "line-1"}'
    path.write_text(f'"a"\n\n{{\n{twice}\n{{"custom_id": 5, "body": {{}}}}\n')
    with pytest.raises(SourceError) as raised:
        made(path, model="m/x")
    told = str(raised.value).splitlines()
    assert [text.split(": ")[0].rsplit(", ")[-1] for text in told] == ["line 3", "line 4", "line 5"]
    assert "that of line 1" in told[1]
    path.write_text("{\n" * 30)
    with pytest.raises(SourceError, match="… and 10 more"):
        made(path, model="m/x")


def test_the_digest_follows_content_not_spelling(tmp_path: Path) -> None:
    texts = ['{"prompt":"a","max_tokens":1}', '{"max_tokens":1, "prompt":"a"}', '{"prompt":"b"}']
    path = tmp_path / "in.jsonl"
    digests = []
    for text in texts:
        path.write_text(text)
        digests += [each.digest for each in lines(path, LineDefaults("m/x"))]
    assert digests[0] == digests[1] != digests[2]


def test_an_empty_file_is_no_source(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("\n\n")
    with pytest.raises(SourceError, match="is empty"):
        made(path, model="m/x")


def test_an_empty_table_and_a_ragged_one_are_refused(tmp_path: Path) -> None:
    empty, ragged = tmp_path / "empty.csv", tmp_path / "ragged.csv"
    empty.write_text("a,b\n")
    ragged.write_text("a,b\n1,2,3\n")
    with pytest.raises(SourceError, match="no rows"):
        made(empty, model="m/x", template="{a}")
    with pytest.raises(SourceError, match="more fields"):
        made(ragged, model="m/x", template="{a}")


def test_parquet_without_its_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TableError, match=r"waybill-broker\[parquet\]"):
        list(read_rows(tmp_path / "rows.parquet"))


def good(custom_id: str, text: str) -> dict:
    body = {
        "model": "acme/small",
        "choices": [{"message": {"content": text}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "cost": 0.5},
    }
    return {"custom_id": custom_id, "response": {"status_code": 200, "body": body}, "error": None}


def test_answers_come_beside_the_rows_they_answer(table: Path, tmp_path: Path) -> None:
    # Given an answer to the second row only, and a line that was never run
    error = {"code": "batch_expired", "message": "too late"}
    found = [good("row-2", "ja"), {"custom_id": "row-1", "response": None, "error": error}]
    output = tmp_path / f"out{table.suffix}"
    # Then every row is there, in its order, with what came of it
    assert write_table(output, iter(found), table) == 2
    first, second = read_rows(output)
    assert [row["text"] for row in (first, second)] == [row["text"] for row in ROWS]
    assert (first["answer"] or "", first["error"]) == ("", "too late")
    assert (second["answer"], second["answered_by"], float(second["cost"])) == (
        "ja",
        "acme/small",
        0.5,
    )


def test_answers_without_a_table_are_named(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    refused = {"response": {"status_code": 404, "body": {"error": {"message": "no model"}}}}
    write_table(output, iter([good("a", "x"), {"custom_id": "b", "error": None, **refused}]), None)
    assert [(row["custom_id"], row["answer"], row["error"]) for row in read_rows(output)] == [
        ("a", "x", ""),
        ("b", "", "no model"),
    ]
    lines = tmp_path / "out.jsonl"
    assert write_lines(lines, iter([good("a", "x")])) == 1
    assert orjson.loads(lines.read_bytes()) == good("a", "x")


def test_a_batch_in_one_line() -> None:
    batch = {
        "status": "in_progress",
        "request_counts": {"total": 100, "completed": 20, "failed": 5},
        "usage": {"cost": 0.25},
        "stop_reason": None,
        "waits_for": "max_cost",
    }
    pace = Pace()
    pace.add(0.0, 5)
    pace.add(10.0, 25)
    told = describe_batch(batch, pace)
    assert told == ("in_progress, 25/100, 5 failed, 2.0/s, 0.250000 USD, ends in 0:38, max_cost")
