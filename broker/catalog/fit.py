"""How well models do at each kind of task: the table that the auto router ranks by."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files


@cache
def task_fit() -> Mapping[str, Mapping[str, float]]:
    """Return the fit, 0 to 1, of each listed model slug by task kind (`task_fit.toml`)."""
    table = tomllib.loads((files("broker.catalog") / "task_fit.toml").read_text())
    columns = table["columns"]
    return {slug: dict(zip(columns, row, strict=True)) for slug, row in table["fit"].items()}
