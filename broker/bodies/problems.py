"""What is wrong with a body, said so that its writer finds the place."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from broker.errors import InvalidRequestError

UNION_FORMS = re.compile(r"str|constrained-str|Route|(list|literal|dict)\[.*|function-.*")
"""How Pydantic names the members of a union that has no tags."""


PLAIN = {
    "dict_type": "Input should be an object",
    "extra_forbidden": "there is no such field",
    "model_attributes_type": "Input should be an object",
    "model_type": "Input should be an object",
}
"""What callers are told instead of Pydantic's words, which are about Python."""


def plainly(problem: Mapping[str, Any]) -> str:
    """Say what is wrong, from one of Pydantic's `errors()`."""
    said: str = problem["msg"]
    return PLAIN.get(problem["type"], said.removeprefix("Value error, "))


def invalid(error: ValidationError, prefix: Sequence[str] = ()) -> InvalidRequestError:
    """Turn the first validation problem into an error that names the field."""
    problems = error.errors(include_url=False, include_context=False)
    located = [(_location(each["loc"]), plainly(each)) for each in problems]
    first, _ = located[0]
    # a union complains of every form it could have: the form that was meant got furthest
    same = [each for each in located if each[0][: len(first)] == first]
    location, message = max(same, key=lambda each: len(each[0]))
    field = ".".join([*prefix, *map(str, location)])
    others = len(problems) - len(same)
    more = f" (and {others} more)" if others else ""
    return InvalidRequestError(f"{field or 'body'}: {message}{more}", param=field or None)


def _location(steps: Sequence[int | str]) -> list[int | str]:
    """Leave out the names of union members, which Pydantic puts into a location: noise to a caller.

    A tag (`user` in messages.0.user.content, `text` in content.1.text.text) comes after a number.
    """
    path: list[int | str] = []
    before: int | str = ""
    for step in steps:
        if isinstance(step, str) and UNION_FORMS.fullmatch(step):
            continue
        is_tag = isinstance(before, int) and path[-2:-1] in (["messages"], ["content"])
        if not is_tag:
            path.append(step)
        before = step
    return path
