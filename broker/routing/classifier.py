"""Classify the task of a chat by patterns in its text, without a model. Pure and fast.

Kinds are the columns of `broker/catalog/task_fit.toml`.
"""

import re
from collections.abc import Iterator
from typing import Any

from broker.completion import Json
from broker.routing.requirements import Requirements

LONG_TOKENS = 32_000  # from here on the task is `long_context`
MAX_CHARACTERS = 6_000  # of the newest message; its start names the task
FOREIGN_SHARE = 0.2  # of letters outside ASCII

CHAT = "chat"


def _build_pattern(*words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)


LANGUAGES = (
    *("french", "german", "spanish", "italian", "portuguese", "dutch", "polish", "russian"),
    *("arabic", "hindi", "chinese", "japanese", "korean", "turkish", "english"),
)
PATTERNS: dict[str, tuple[re.Pattern[str], ...]] = {
    "code": (
        re.compile(
            r"```|^\s*(def|class|import|from|#include|func|fn|public|const|let)\b", re.MULTILINE
        ),
        _build_pattern(
            "select .+ from", "traceback", "stack ?trace", "segfault", "regex", "refactor"
        ),
        _build_pattern(
            "python", "javascript", "typescript", "rust", "golang", "java", "sql", "bash"
        ),
        _build_pattern("code", "function", "bug", "compiles?", "unit tests?", "script", "endpoint"),
    ),
    "maths": (
        re.compile(r"\d\s*[-+*/^=]\s*\(?\d|\\(frac|int|sum|sqrt)\b|\bx\^?2\b"),
        _build_pattern(
            "integral", "derivative", "equation", "theorem", "probability", "polynomial"
        ),
        _build_pattern("solve", "prove", "calculate", "compute", "how many", "percentage"),
    ),
    "reasoning": (
        _build_pattern(
            "step by step", "trade-?offs?", "pros and cons", "root cause", "hypothes[ie]s"
        ),
        _build_pattern(
            "analy[sz]e", "compare", "evaluate", "plan", "strategy", "deduce", "explain why"
        ),
    ),
    "writing": (
        _build_pattern(
            "write", "draft", "rewrite", "compose", "proofread", "summari[sz]e", "rephrase"
        ),
        _build_pattern(
            "essay", "story", "poem", "e-?mail", "blog", "slogan", "product description"
        ),
    ),
    "multilingual": (
        _build_pattern("translat(?:e|ion)"),
        _build_pattern(rf"(?:in|into|to|from) (?:{'|'.join(LANGUAGES)})"),
    ),
}


def classify(body: Json, requirements: Requirements) -> str:
    """Return the most likely kind of task of a body."""
    if requirements.modalities & {"image", "video"}:
        return "vision"
    if requirements.input_tokens >= LONG_TOKENS:
        return "long_context"
    if "tools" in requirements.must:
        return "tools"
    text = find_newest_text(body)[:MAX_CHARACTERS]
    scores = {
        kind: sum(bool(pattern.search(text)) for pattern in patterns)
        for kind, patterns in PATTERNS.items()
    }
    if _is_foreign(text):
        scores["multilingual"] += 1
    best = max(scores, key=scores.__getitem__)
    return best if scores[best] else CHAT


def find_newest_text(body: Json) -> str:
    """Return the text of the newest user message."""
    messages = body.get("messages")
    for message in reversed(messages) if isinstance(messages, list) else ():
        if isinstance(message, dict) and message.get("role") == "user":
            return "\n".join(_texts(message.get("content")))
    return ""


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]


def _is_foreign(text: str) -> bool:
    letters = [each for each in text if each.isalpha()]
    foreign = sum(not each.isascii() for each in letters)
    return foreign > FOREIGN_SHARE * len(letters)
