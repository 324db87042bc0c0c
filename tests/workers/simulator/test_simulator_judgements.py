"""The simulated judges: one compares, one prefers the first answer."""

import json

from workers.simulator.judgements import judge

PAIR = "<first_answer>\n{}\n</first_answer>\n\n<second_answer>\n{}\n</second_answer>"


def test_the_longest_answer_is_chosen_wherever_it_stands():
    told = [
        json.loads(judge(PAIR.format(*pair), prefers_first=False))["better"]
        for pair in (("longer", "x"), ("x", "longer"), ("x", "y"))
    ]
    assert told == ["first", "second", "tie"]


def test_a_biased_judge_chooses_the_first():
    for pair in (("longer", "x"), ("x", "longer"), ("x", "y")):
        text = judge(PAIR.format(*pair), prefers_first=True)
        assert json.loads(text)["better"] == "first"


def test_a_score_follows_from_the_words():
    text = judge("<answer>\none two three\n</answer>", prefers_first=False)
    assert json.loads(text)["score"] == 4
