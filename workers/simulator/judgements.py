"""Answers of a simulated judge, which reads answers between tags and prefers the longest.

It scores an answer by its number of words: 1 and the rest of a division by 5.
"""

import re
from typing import Final

import orjson

ANSWER: Final = re.compile(r"<answer>\n(.*)\n</answer>", re.DOTALL)
PAIR: Final = re.compile(
    r"<first_answer>\n(.*)\n</first_answer>.*<second_answer>\n(.*)\n</second_answer>", re.DOTALL
)
SCORES: Final = 5


def judge(text: str, *, prefers_first: bool) -> str:
    """Return the JSON object of a verdict. One that `prefers_first` does not compare answers."""
    pair = PAIR.search(text)
    if pair is not None:
        return _write("better", "first" if prefers_first else _compare(len(pair[1]), len(pair[2])))
    answer = ANSWER.search(text)
    words = len((answer[1] if answer else text).split())
    return _write("score", 1 + words % SCORES)


def _compare(first: int, second: int) -> str:
    if first == second:
        return "tie"
    return "first" if first > second else "second"


def _write(name: str, verdict: str | int) -> str:
    return orjson.dumps({"reason": "This is a simulated verdict.", name: verdict}).decode()
