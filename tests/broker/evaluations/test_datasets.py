"""Datasets in the formats that people have, and what is told of bad rows."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.evaluations.datasets import DatasetError, read_dataset, read_table_rows

USER = {"role": "user", "content": "2+2?"}


def lines(*rows):
    return "\n".join(json.dumps(row) for row in rows).encode()


def fields(content, suffix):
    found = read_dataset(content, suffix)
    return [each.model_dump(exclude_defaults=True) for each in found]


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ("2+2?", {"prompt": "2+2?"}),
        (
            {"id": 7, "prompt": "2+2?", "expected": 4, "body": {"max_tokens": 5}},
            {"id": "7", "prompt": "2+2?", "expected": 4, "body": {"max_tokens": 5}},
        ),
        # OpenAI's evals, old and new
        (
            {"input": [USER], "ideal": ["4", "four"]},
            {"messages": [USER], "expected": ["4", "four"]},
        ),
        ({"item": {"input": "2+2?", "ideal": "4"}}, {"prompt": "2+2?", "expected": "4"}),
        # samples of inspect-ai
        (
            {"input": "2+2?", "target": "B", "choices": ["3", "4"], "metadata": {"kind": "sum"}},
            {"prompt": "2+2?\n\nA) 3\nB) 4", "expected": "B", "metadata": {"kind": "sum"}},
        ),
        # lines of a batch
        (
            {
                "custom_id": "a",
                "method": "POST",
                "body": {"model": "x", "messages": [USER], "n": 1},
            },
            {"id": "a", "messages": [USER]},
        ),
        (
            {"system": "Be brief.", "prompt": "2+2?"},
            {"messages": [{"role": "system", "content": "Be brief."}, USER]},
        ),
    ],
)
def test_a_row_of_each_form(row, prompt):
    assert fields(lines(row), ".jsonl") == [prompt]
    assert fields(json.dumps([row]).encode(), ".json") == [prompt]


def test_a_table_has_a_prompt_and_perhaps_more():
    text = 'id,input,target,topic\n1,"one, two",3,sums\n2,four,,\n'
    wanted = [
        {"id": "1", "prompt": "one, two", "expected": "3", "metadata": {"topic": "sums"}},
        {"id": "2", "prompt": "four", "metadata": {"topic": ""}},
    ]
    assert fields(b"\xef\xbb\xbf" + text.encode(), ".csv") == wanted
    tabs = text.replace('"one, two"', "one").replace(",", "\t").encode()
    assert fields(tabs, ".tsv")[0]["prompt"] == "one"
    rows = read_table_rows([{"prompt": "one", "expected": 2.5}])  # as Parquet has them
    assert rows[0].accepted() == ["2.5"]


PROMPTFOO = """
prompts:
  - "Translate {{text}} to {{ language }}."
  - '[{"role": "user", "content": "{{text}}"}]'
defaultTest:
  vars: {language: French}
tests:
  - description: greeting
    vars: {text: hello}
    assert: [{type: icontains, value: bonjour}]
  - vars: {text: [one, two], language: German}
"""


def test_promptfoo_cases_are_filled_into_its_prompts():
    found = fields(PROMPTFOO.encode(), ".yaml")
    assert len(found) == 6
    assert found[0] == {
        "id": "greeting",
        "prompt": "Translate hello to French.",
        "expected": "bonjour",
        "metadata": {"language": "French", "text": "hello"},
    }
    assert found[1]["messages"] == [{"role": "user", "content": "hello"}]
    assert [each.get("prompt") for each in found[2::2]] == [
        "Translate one to German.",
        "Translate two to German.",
    ]


@pytest.mark.parametrize(
    ("content", "suffix", "says"),
    [
        (lines("fine") + b"\n{", ".jsonl", "line 2: not JSON"),
        (lines("fine", {"expected": "4"}), ".jsonl", "line 2: give either `prompt` or `messages`"),
        (lines({"prompt": "x", "expectd": 1}), ".jsonl", "line 1: expectd: there is no such field"),
        (lines({"prompt": 5}), ".jsonl", "line 1: prompt: must be text"),
        (lines({"input": "x", "ideal": "a", "target": "b"}), ".jsonl", "target: the row has"),
        (lines({"input": "x", "files": {}}), ".jsonl", "line 1: files: there is no such field"),
        (lines([1]), ".jsonl", "line 1: neither text"),
        (b"", ".jsonl", "no row"),
        (b"prompt,expected\na,b,c\n", ".csv", "more fields"),
        (b"question\nwhy?\n", ".csv", "row 1: give either"),
        (b"\xff", ".csv", "cannot be read"),
        (b"x", ".xlsx", ".xlsx is none of"),
        (b'{"a": 1}', ".json", "neither a list"),
        (b"a: &x [1]\nb: *x", ".yaml", "aliases"),
        (b"a: [", ".yaml", "not YAML"),
        (
            b"prompts: ['{{a}}']\ntests: [{vars: {a: 1}, assert: [{type: llm-rubric, value: x}]}]",
            ".yaml",
            "tests.0.assert.0.type: 'llm-rubric'",
        ),
        (
            b"prompts: ['{{a}}']\ntests: [{vars: {}}]",
            ".yaml",
            "tests.0.vars: there is no variable 'a'",
        ),
        (b"prompts: ['{{a|upper}}']\ntests: [{vars: {a: x}}]", ".yaml", "name of a variable"),
        (b"prompts: [x]\ntests: [{vars: [1]}]", ".yaml", "tests.0.vars: must be an object"),
        (b"prompts: [x]\ndefaultTest: {assert: x}\ntests: [{}]", ".yaml", "defaultTest.assert"),
        (
            json.dumps(
                {"prompts": ["x"], "tests": [{"vars": dict.fromkeys("abcd", [0] * 9)}]}
            ).encode(),
            ".json",
            "an evaluation takes 5,000 prompts",
        ),
        (b"prompts: ['file://x']\ntests: []", ".yaml", "prompts.0"),
    ],
)
def test_what_is_wrong_is_named(content, suffix, says):
    with pytest.raises(DatasetError) as told:
        read_dataset(content, suffix)
    assert says in str(told.value)


def test_every_bad_row_is_named_up_to_a_limit():
    with pytest.raises(DatasetError) as told:
        read_dataset(lines(*[{"expected": 1}] * 30), ".jsonl")
    text = str(told.value).splitlines()
    assert text[19].startswith("line 20")
    assert text[20] == "… and 10 more"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("prompt", "input", "messages", "expected", "target", "ideal", "item"),
                    *("id", "body", "choices", "metadata", "system", "vars", "assert", "type"),
                    *("value", "prompts", "tests"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(JSON_VALUES, st.sampled_from([".json", ".jsonl", ".yaml"]))
def test_any_document_is_read_or_refused(value, suffix):
    with contextlib.suppress(DatasetError):
        assert read_dataset(json.dumps(value).encode(), suffix)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=60), st.sampled_from([".json", ".jsonl", ".yaml", ".csv", ".tsv", ".txt"])
)
def test_any_bytes_are_read_or_refused(content, suffix):
    with contextlib.suppress(DatasetError):
        assert read_dataset(content, suffix)


@settings(max_examples=300, deadline=None)
@given(JSON_VALUES, JSON_VALUES, JSON_VALUES)
def test_any_promptfoo_configuration_is_read_or_refused(prompts, test, default):
    document = {"prompts": prompts, "tests": [test], "defaultTest": default}
    with contextlib.suppress(DatasetError):
        assert read_dataset(json.dumps(document).encode(), ".json")
