"""Options of `waybill eval` and `waybill replay`."""

import pytest
import typer

from cli.commands.eval.options import build_request
from cli.commands.eval.replay import read_search
from cli.commands.eval.results import check_outputs


def request_of(models=("a",), graders=(), settings=()):
    return build_request(list(models), list(graders), 1, None, list(settings))


def test_models_may_name_providers():
    found = request_of(["acme/small", "acme/large=one,two"])["models"]
    assert found == ["acme/small", {"model": "acme/large", "providers": ["one", "two"]}]


def test_graders_have_options(tmp_path):
    rubric = tmp_path / "rubric.txt"
    rubric.write_text("Be right, and brief.")
    found = request_of(
        graders=[
            "exact",
            "numeric:tolerance=0.5,name=near",
            f"judge:model=acme/judge,rubric=@{rubric},pass_score=4",
            "judge:model=acme/judge,rubric=Be right, and brief.",
            '{"type": "regex", "pattern": "a,b=c"}',
        ]
    )["graders"]
    assert found == [
        {"type": "exact"},
        {"type": "numeric", "tolerance": 0.5, "name": "near"},
        {"type": "judge", "model": "acme/judge", "rubric": rubric.read_text(), "pass_score": 4},
        {"type": "judge", "model": "acme/judge", "rubric": rubric.read_text()},
        {"type": "regex", "pattern": "a,b=c"},
    ]


def test_other_fields_are_set():
    found = request_of(settings=["cache=true", "system=Be brief.", "body.max_tokens=5"])
    assert (found["cache"], found["system"]) == (True, "Be brief.")
    assert found["body"] == {"max_tokens": 5}


@pytest.mark.parametrize(
    "bad",
    [
        {"models": []},
        {"graders": ["judge:model"]},
        {"graders": ["{"]},
        {"graders": ["judge:rubric=@/nowhere/rubric.txt"]},
        {"settings": ["cache"]},
    ],
)
def test_what_cannot_be_read_is_refused(bad):
    with pytest.raises(typer.BadParameter):
        request_of(**bad)


def test_a_search_of_past_calls():
    found = read_search(["app=mine", "limit=5", "metadata.study=7", "metadata.arm=b"])
    assert found == {"app": "mine", "limit": 5, "metadata": {"study": "7", "arm": "b"}}


def test_an_output_in_no_format_is_refused(tmp_path):
    check_outputs([tmp_path / "a.csv", tmp_path / "b.md"])
    with pytest.raises(typer.BadParameter, match=r"\.xlsx"):
        check_outputs([tmp_path / "a.xlsx"])
