"""Differences between the models of this wire, by their names."""

from fnmatch import fnmatchcase

_WITHOUT_REASONING = ("gpt-3*", "gpt-4*", "chatgpt-*", "gpt-5-chat*", "computer-use*")

_LONG = ("*-pro", "*-pro-20*", "*deep-research*")


def encrypts_reasoning(model: str) -> bool:
    """Return whether a model has encrypted reasoning.

    OpenAI answers 400 where another model's is requested ("Encrypted content is not supported with
    this model"). An unknown name, as that of an Azure deployment, counts as a reasoning model's.
    """
    name = _bare(model)
    return not any(fnmatchcase(name, pattern) for pattern in _WITHOUT_REASONING)


def needs_search(model: str) -> bool:
    """Return whether a model refuses a request without a tool to search with."""
    return "deep-research" in _bare(model)


def takes_long(model: str) -> bool:
    """Return whether a model often needs many minutes for an answer."""
    name = _bare(model)
    return any(fnmatchcase(name, pattern) for pattern in _LONG)


def _bare(model: str) -> str:
    return model.lower().rpartition("/")[2].removeprefix("openai.")
