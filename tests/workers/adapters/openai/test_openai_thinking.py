from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.adapters.openai.thinking import ThinkingSplitter, split_thinking

PIECES = st.sampled_from(["<think>", "</think>", "<", "think>", "</", "\n", " ", "so", "é", "/>"])


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("plain", "", "plain"),
        ("<think>\nwhy\n</think>\n\nbecause", "why\n", "because"),
        ("\n<think>why</think>because", "why", "because"),
        ("<think>cut off", "cut off", ""),
        ("<think></think>because", "", "because"),
        ("a <think>tag</think> in the text", "", "a <think>tag</think> in the text"),
        ("<thin", "", "<thin"),
        ("  ", "", "  "),
        ("<think>a</thi", "a</thi", ""),
        ("", "", ""),
    ],
)
def test_splitting(text, reasoning, answer):
    assert split_thinking(text) == (reasoning, answer)


@given(st.lists(PIECES, max_size=15).map("".join), st.lists(st.integers(0, 90), max_size=12))
def test_no_cutting_changes_the_split(text, cuts):
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    splitter = ThinkingSplitter()
    parts = [splitter.feed(text[start:end]) for start, end in pairwise(edges)] + [splitter.close()]
    assert ("".join(p[0] for p in parts), "".join(p[1] for p in parts)) == split_thinking(text)
