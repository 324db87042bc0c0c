"""One name for a model wherever it is served, and `~author/family-latest`."""

import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

QUANTIZATION = re.compile(r"[-_.](nvfp4|mxfp4|fp4|int4|fp6|fp8|mxfp8|int8|fp16|bf16)(?=$|[-_.])")
BUILD = re.compile(
    r"[-_.](?:(?:nvfp4|mxfp4|fp4|int4|fp6|fp8|mxfp8|int8|fp16|bf16)(?:-fast)?|awq|gptq|hf|tput|tee"
    r"|maas|instruct-turbo|instruct-lite|versatile|instant|it|instruct|chat(?=$))(?=$|[-_.])"
)
"""Parts of a name that say how it is built or packed, not which model it is."""
DATE = re.compile(r"[-_@.](?:20\d{2}-?\d{2}-?\d{2}|default|latest)$")
RELEASED = re.compile(r"[-_@.](20\d{2})-?(\d{2})-?(\d{2})(?=$|[-_.])")
VERSION = re.compile(r"(?:[-_.]v\d+)?:\d+$")  # Bedrock's
DECIMAL_P = re.compile(r"(?<=\d)p(?=\d)")  # Fireworks' decimal point
REGION = re.compile(r"^(?:global|regional|us|eu|apac|au|jp)\.")
PATH_WORDS = frozenset({"models", "routers"})


@dataclass(frozen=True, slots=True)
class Native:
    """A host's name, taken apart."""

    author: str | None
    name: str  # lower case, without the author
    quantization: str | None = None


class Namer:
    """Finds the slug of a host's name among those that are known; makes one where there is none."""

    def __init__(self, known: Iterable[str]) -> None:
        self._known: dict[str, list[str]] = {}
        for slug, others in slug_table()["also_called"].items():
            for other in others:
                self._known.setdefault(_bare(VERSION.sub("", other)), []).append(slug)
        for slug in (*slug_table()["known"], *known):
            self._learn(slug)

    def find(self, native: str, *, author: str | None = None) -> str | None:
        """Return the known slug of a model that goes by this name, if there is one.

        `author` is whose models a host serves if it does not say; a name that says another author
        is another model.
        """
        read = take_apart(native)
        whose = read.author or author_of(read.name) or author
        for form in _forms(read.name):
            for slug in self._known.get(form, ()):
                if whose is None or slug.startswith(f"{whose}/"):
                    return slug
        return None

    def slug(self, native: str, *, author: str) -> str:
        """Return the model's slug; one that is not known is made of the name, and known then."""
        found = self.find(native, author=author)
        if found is None:
            read = take_apart(native)
            name = DECIMAL_P.sub(".", VERSION.sub("", read.name))
            found = f"{read.author or author_of(name) or author}/{name}"
            self._learn(found)
        return found

    def _learn(self, slug: str) -> None:
        for form in _forms(slug.partition("/")[2]):
            slugs = self._known.setdefault(form, [])
            if slug not in slugs:
                slugs.append(slug)


def take_apart(native: str) -> Native:
    """Read the author, the bare name and the quantization out of a host's name."""
    *path, name = REGION.sub("", native.lower().strip()).split("/")
    author = path[-1] if path and path[-1] not in PATH_WORDS else None
    head, dot, rest = name.partition(".")
    if author is None and dot and head in _everybody():  # Bedrock's `meta.llama3…`
        author, name = head, rest
    bits = QUANTIZATION.search(name)
    return Native(
        author=_table()["organisations"].get(author, author) if author else None,
        name=name.removeprefix("databricks-"),
        quantization=bits.group(1) if bits else None,
    )


def released(name: str) -> int | None:
    """Return the day that a name holds, as Unix seconds: the day of the model's release."""
    found = RELEASED.search(name)
    if found is None:
        return None
    try:
        day = datetime.strptime("".join(found.groups()), "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:  # digits that are no day
        return None
    return int(day.timestamp())


def author_of(name: str) -> str | None:
    """Return who makes a model of this name, where its beginning tells."""
    begins = next((each for each in _beginnings() if name.startswith(each)), None)
    return _table()["names"][begins] if begins else None


def _forms(name: str) -> Iterator[str]:
    """Yield what a name may be found by, the strictest first."""
    plain = VERSION.sub("", name)
    yield _bare(plain)
    undated = DATE.sub("", plain)
    yield _bare(undated)
    packed = BUILD.sub("", BUILD.sub("", undated))
    yield _bare(packed)
    yield _bare(DATE.sub("", packed))


def _bare(name: str) -> str:
    """Return a name without separators and without what only some hosts write."""
    joined = DECIMAL_P.sub("", name.removeprefix("meta-").removeprefix("zai-"))
    letters = re.sub(r"[^a-z0-9]", "", joined)
    return re.sub(r"^llamav(?=\d)", "llama", letters)


@cache
def slug_table() -> Mapping[str, Any]:
    """Return `slugs.toml`."""
    return tomllib.loads((files("broker.catalog") / "slugs.toml").read_text())


@cache
def _table() -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads((files("broker.catalog") / "authors.toml").read_text())


@cache
def _beginnings() -> tuple[str, ...]:
    return tuple(sorted(_table()["names"], key=len, reverse=True))


@cache
def _everybody() -> frozenset[str]:
    return frozenset({*_table()["organisations"], *_table()["names"].values()})


SUFFIX = "-latest"
MEMBER_VERSION = r"(\d+(?:\.\d+)*)"


def newest_first(name: str, slugs: Collection[str]) -> list[str]:
    """Return those of `slugs` that are of the family that `author/family-latest` names."""
    if not name.endswith(SUFFIX):
        return []
    members = sorted(_members(name.removesuffix(SUFFIX), slugs), reverse=True)
    return [slug for _, slug in members]


def _members(family: str, slugs: Collection[str]) -> Iterator[tuple[tuple[int, ...], str]]:
    for template in slug_table()["latest"].get(family, ()):
        pattern = re.compile(re.escape(template).replace(re.escape("{}"), MEMBER_VERSION))
        for slug in slugs:
            if found := pattern.fullmatch(slug):
                yield tuple(int(part) for part in found.group(1).split(".")), slug
