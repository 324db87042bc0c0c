"""`~author/family-latest`: the newest member of a family, by its version number. Pure."""

import re
from collections.abc import Collection, Iterator

from broker.catalog.names import slug_table

SUFFIX = "-latest"
VERSION = r"(\d+(?:\.\d+)*)"


def newest_first(name: str, slugs: Collection[str]) -> list[str]:
    """Return those of `slugs` that are of the family that `author/family-latest` names."""
    if not name.endswith(SUFFIX):
        return []
    members = sorted(_members(name.removesuffix(SUFFIX), slugs), reverse=True)
    return [slug for _, slug in members]


def _members(family: str, slugs: Collection[str]) -> Iterator[tuple[tuple[int, ...], str]]:
    for template in slug_table()["latest"].get(family, ()):
        pattern = re.compile(re.escape(template).replace(re.escape("{}"), VERSION))
        for slug in slugs:
            if found := pattern.fullmatch(slug):
                yield tuple(int(part) for part in found.group(1).split(".")), slug
