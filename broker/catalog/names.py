"""Map providers' model ids to slugs, and resolve `~author/family-latest`."""

import difflib
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
"""Parts of an id that name the build or packaging of a model, not the model."""
DATE = re.compile(r"[-_@.](?:20\d{2}-?\d{2}-?\d{2}|default|latest)$")
RELEASED = re.compile(r"[-_@.](20\d{2})-?(\d{2})-?(\d{2})(?=$|[-_.])")
VERSION = re.compile(r"(?:[-_.]v\d+)?:\d+$")  # Bedrock's
DECIMAL_P = re.compile(r"(?<=\d)p(?=\d)")  # Fireworks' decimal point
REGION = re.compile(r"^(?:global|regional|us|eu|apac|au|jp)\.")
PATH_WORDS = frozenset({"models", "routers"})


@dataclass(frozen=True, slots=True)
class Native:
    """The parts of a provider's model id."""

    author: str | None
    name: str  # lower case, without the author
    quantization: str | None = None


class Namer:
    """Finds the slug of a provider's model id among the known slugs, or makes a new one."""

    def __init__(self, known: Iterable[str]) -> None:
        self._known: dict[str, list[str]] = {}
        for slug, aliases in load_slug_table()["also_called"].items():
            for alias in aliases:
                self._known.setdefault(_normalize(VERSION.sub("", alias)), []).append(slug)
        for slug in (*load_slug_table()["known"], *known):
            self._add(slug)

    def find(self, native: str, *, author: str | None = None) -> str | None:
        """Return the known slug of a model id, if there is one.

        `author` is the default where the id names none. An id with a different author is a
        different model.
        """
        parsed = parse_name(native)
        owner = parsed.author or find_author(parsed.name) or author
        for form in _list_forms(parsed.name):
            for slug in self._known.get(form, ()):
                if owner is None or slug.startswith(f"{owner}/"):
                    return slug
        return None

    def make_slug(self, native: str, *, author: str) -> str:
        """Return the model's slug; make and store one if it is unknown."""
        found = self.find(native, author=author)
        if found is None:
            parsed = parse_name(native)
            name = DECIMAL_P.sub(".", VERSION.sub("", parsed.name))
            found = f"{parsed.author or find_author(name) or author}/{name}"
            self._add(found)
        return found

    def _add(self, slug: str) -> None:
        for form in _list_forms(slug.partition("/")[2]):
            slugs = self._known.setdefault(form, [])
            if slug not in slugs:
                slugs.append(slug)


def parse_name(native: str) -> Native:
    """Return the author, the bare name and the quantization of a provider's model id."""
    *path, name = REGION.sub("", native.lower().strip()).split("/")
    author = path[-1] if path and path[-1] not in PATH_WORDS else None
    head, dot, rest = name.partition(".")
    if author is None and dot and head in _list_authors():  # Bedrock's `meta.llama3…`
        author, name = head, rest
    bits = QUANTIZATION.search(name)
    return Native(
        author=_load_authors()["organisations"].get(author, author) if author else None,
        name=name.removeprefix("databricks-"),
        quantization=bits.group(1) if bits else None,
    )


def find_release_day(name: str) -> int | None:
    """Return the release day in a model id as Unix seconds; None without one."""
    found = RELEASED.search(name)
    if found is None:
        return None
    try:
        day = datetime.strptime("".join(found.groups()), "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:  # digits that are no day
        return None
    return int(day.timestamp())


def find_author(name: str) -> str | None:
    """Return the author of a model by the prefix of its name; None for an unknown prefix."""
    prefix = next((each for each in _list_prefixes() if name.startswith(each)), None)
    return _load_authors()["names"][prefix] if prefix else None


def _list_forms(name: str) -> Iterator[str]:
    """Yield the normalized forms of a name, the most precise first."""
    plain = VERSION.sub("", name)
    yield _normalize(plain)
    undated = DATE.sub("", plain)
    yield _normalize(undated)
    packed = BUILD.sub("", BUILD.sub("", undated))
    yield _normalize(packed)
    yield _normalize(DATE.sub("", packed))


def _normalize(name: str) -> str:
    """Return a name without separators and without prefixes that only some providers use."""
    joined = DECIMAL_P.sub("", name.removeprefix("meta-").removeprefix("zai-"))
    letters = re.sub(r"[^a-z0-9]", "", joined)
    return re.sub(r"^llamav(?=\d)", "llama", letters)


def list_successors(name: str) -> Sequence[str]:
    """Return the slugs that replace a retired model, best first; none for another name."""
    table: Mapping[str, Sequence[str]] = load_slug_table()["successors"]
    return table.get(name) or table.get(f"{find_author(name)}/{name}") or ()


@cache
def load_slug_table() -> Mapping[str, Any]:
    """Return `slugs.toml`."""
    return tomllib.loads((files("broker.catalog") / "slugs.toml").read_text())


@cache
def _load_authors() -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads((files("broker.catalog") / "authors.toml").read_text())


@cache
def _list_prefixes() -> tuple[str, ...]:
    return tuple(sorted(_load_authors()["names"], key=len, reverse=True))


@cache
def _list_authors() -> frozenset[str]:
    return frozenset({*_load_authors()["organisations"], *_load_authors()["names"].values()})


SUFFIX = "-latest"
MEMBER_VERSION = r"(\d+(?:\.\d+)*)"


def list_family(name: str, slugs: Collection[str]) -> list[str]:
    """Return the slugs of the family `author/family-latest`, the newest first."""
    if not name.endswith(SUFFIX):
        return []
    members = sorted(_find_members(name.removesuffix(SUFFIX), slugs), reverse=True)
    return [slug for _, slug in members]


def _find_members(family: str, slugs: Collection[str]) -> Iterator[tuple[tuple[int, ...], str]]:
    for template in load_slug_table()["latest"].get(family, ()):
        pattern = re.compile(re.escape(template).replace(re.escape("{}"), MEMBER_VERSION))
        for slug in slugs:
            if found := pattern.fullmatch(slug):
                yield tuple(int(part) for part in found.group(1).split(".")), slug


MAX_COMPARED = 100  # characters of a name that are compared
MAX_SUGGESTIONS = 3
MIN_SIMILARITY = 0.5  # of a suggestion, 0 to 1


def build_hint(name: str, names: Collection[str]) -> str:
    """Return a sentence that suggests similar names; empty without any."""
    near = difflib.get_close_matches(
        name[:MAX_COMPARED], names, n=MAX_SUGGESTIONS, cutoff=MIN_SIMILARITY
    )
    near = [each for each in near if each != name]
    return f" Did you mean {', '.join(near)}?" if near else ""
