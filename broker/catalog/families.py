"""What is known of a model by its slug alone: the abilities of its family (`families.toml`)."""

import re
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from broker.requests.operations import Interface

ANYBODY = "*"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a model can do. None: not known."""

    input: tuple[str, ...] | None = None
    output: tuple[str, ...] | None = None
    context: int | None = None
    max_output: int | None = None
    parameters: tuple[str, ...] | None = None
    interface: Interface | None = None  # the API that serves it everywhere


@lru_cache(maxsize=10_000)
def abilities_of(slug: str) -> Abilities:
    """Return what the tables that match a slug say together, a later one over an earlier."""
    found = Abilities()
    author = slug.partition("/")[0]
    for _, pattern, said in sorted(
        [*_by_author()[ANYBODY], *_by_author().get(author, ())], key=_place
    ):
        if pattern.match(slug):
            found = replace(found, **said)
    return found


def _place(rule: tuple[int, re.Pattern[str], Any]) -> int:
    return rule[0]


@cache
def _by_author() -> Mapping[str, Sequence[tuple[int, re.Pattern[str], Mapping[str, Any]]]]:
    """Return (place in the file, pattern, what it says) by the author that the pattern names."""
    table = tomllib.loads((files("broker.catalog") / "families.toml").read_text())
    named = table["parameters"]
    rules: dict[str, list[tuple[int, re.Pattern[str], Mapping[str, Any]]]] = defaultdict(list)
    rules[ANYBODY] = []
    for place, family in enumerate(table["families"]):
        said = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in family.items()
            if name not in {"match", "parameters"}
        }
        if "parameters" in family:
            said["parameters"] = tuple(named[family["parameters"]])
        if "interface" in family:
            said["interface"] = Interface(family["interface"])
        for glob in family["match"]:
            pattern = re.compile(translate(glob))
            rules[glob.partition("/")[0]].append((place, pattern, said))
    return rules
