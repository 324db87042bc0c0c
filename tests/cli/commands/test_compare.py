import io

import pytest
import typer
from rich.console import Console

from cli.commands.compare import read_prompts, show


def cell(model="acme/small", **more):
    told = {"model": model, "answer": None, "cost": None, "latency_ms": None, "error": None}
    return told | {"status": "failed"} | more


def test_what_people_and_models_write_is_shown_as_they_wrote_it():
    # Given brackets, which the terminal library takes for its own markup
    told = cell(answer="see [docs] and [/b]", cost=0.00012, latency_ms=830) | {
        "prompt_tokens": 9,
        "completion_tokens": 7,
    }
    lost = cell("acme/[large]", error={"message": "no [luck]"})
    table = {"rows": [{"prompt": "Why [blue]?", "answers": [told, lost]}], "models": []}
    console = Console(width=120, record=True, file=io.StringIO())
    show(table, console)
    text = console.export_text()
    for said in ("Why [blue]?", "see [docs] and [/b]", "acme/[large]", "failed: no [luck]"):
        assert said in text
    assert "$0.000120" in text
    assert "0.83" in text


def test_prompts_are_lines_of_text_or_of_json(tmp_path):
    plain = tmp_path / "prompts.txt"
    plain.write_text("one\n\ntwo [x]\n")
    assert read_prompts(plain) == ["one", "two [x]"]
    lines = tmp_path / "prompts.jsonl"
    lines.write_text('"one"\n{"prompt": "two", "custom_id": "b"}\n')
    assert read_prompts(lines) == ["one", "two"]


@pytest.mark.parametrize("bad", ['{"messages": []}', "[1]", "not json"])
def test_a_line_that_is_no_prompt_is_named(tmp_path, bad):
    lines = tmp_path / "prompts.jsonl"
    lines.write_text(f'"fine"\n{bad}\n')
    with pytest.raises(typer.BadParameter, match="line 2"):
        read_prompts(lines)
