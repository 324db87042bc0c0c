"""Known vendors and their settings, as `catalog/vendors.toml` lists them.

`broker.providers.configuration` reads the variables that configure them.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import ClassVar, TypeAlias
from urllib.parse import urlsplit

from pydantic import ConfigDict, TypeAdapter, ValidationError

from broker.pricing import FLEX_PERCENT, PRIORITY_PERCENT

Variables: TypeAlias = tuple[str, ...]
"""Names of environment variables, best first."""

PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Vendor:
    """One row of `vendors.toml`."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    slug: str
    name: str
    wire: str
    base_url: str  # `{option}` stands for an option that must be set
    key: Variables = ()  # hold its API key; "A:B" is a key made of two, joined by a colon
    address: Variables = ()  # hold a base URL that replaces the one above
    needs: Mapping[str, Variables] = field(default_factory=dict)  # required options
    takes: Mapping[str, Variables] = field(default_factory=dict)  # optional ones
    quirks: tuple[str, ...] = ()  # declared deviations from the wire
    prices: str | None = None  # its id in genai-prices, whose models it then offers
    only: tuple[str, ...] = ()  # prefixes of the ids of those models; empty = all
    without: tuple[str, ...] = ()  # prefixes of the ids of models that are not offered
    parameters: tuple[str, ...] = ()  # supported for every model, besides the model's own
    free: tuple[str, ...] = ()  # models without a price, which the price list leaves out
    responses: tuple[str, ...] = ()  # globs: models that it serves by the Responses API only
    native: str = "{model}"  # its id of the model that genai-prices calls `model`; or `a/{name}`
    models_dev: str | None = None  # its id in models.dev, where that is not its slug
    author: str | None = None  # prefix of the slugs of models whose native name has none
    flex_percent: int = FLEX_PERCENT  # of its prices, where its tier `flex` served a call
    priority_percent: int = PRIORITY_PERCENT  # likewise of `priority`
    batches: str | None = None  # the half-price batch API it has, see `routing.native_batches`
    local: bool = False  # a self-hosted server: needs an address, but no key
    any_model: bool = False  # serves models that no catalog lists
    probe: str | None = None  # authenticated GET that costs nothing; default: its list of models

    def __post_init__(self) -> None:
        """Raise ValueError where the row contradicts itself."""
        if not (self.address if self.local else self.key):
            raise ValueError("no variable configures it: give it an address or a key")
        if not self.local and urlsplit(self.base_url).scheme != "https":
            raise ValueError(f"base_url {self.base_url!r} is not https")
        required = {*placeholders(self.base_url), *placeholders(self.probe or "")}
        if unknown := required - {*self.needs}:
            raise ValueError(f"placeholders without a line in `needs`: {', '.join(unknown)}")

    @property
    def key_variables(self) -> set[str]:
        """The variables that may hold its key or a part of it."""
        return {name for names in self.key for name in names.split(":")}

    @property
    def variables(self) -> set[str]:
        """All variables that configure it."""
        options = [*self.needs.values(), *self.takes.values()]
        return {*self.key_variables, *self.address, *(name for each in options for name in each)}


@cache
def vendors() -> Mapping[str, Vendor]:
    """Return the known vendors by slug."""
    return read_vendors((files("broker.catalog") / "vendors.toml").read_text())


def read_vendors(text: str) -> dict[str, Vendor]:
    """Read rows of vendors. Raises ValueError that names every row and field that is wrong."""
    rows = {slug: {**row, "slug": slug} for slug, row in tomllib.loads(text).items()}
    try:
        return TypeAdapter(dict[str, Vendor]).validate_python(rows)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        ]
        raise ValueError("vendors.toml: " + "; ".join(lines)) from None


def placeholders(url: str) -> Sequence[str]:
    """Return the options whose placeholders a URL still has."""
    return PLACEHOLDER.findall(url)
