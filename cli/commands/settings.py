"""`waybill settings`: every setting with its value and its meaning."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo
from rich.console import Console

from broker.settings import GROUPS, Settings
from broker.settings.secrets import is_secret
from cli.configuration import load_configuration
from cli.output import Table

HEADER = """# Configuration

This page lists all settings. A variable of the environment overrides `waybill.toml`, and that
overrides the defaults below. In the environment, write a setting in capitals after `WAYBILL_`
(`WAYBILL_PORT=9000`). In `waybill.toml` (or the file that `WAYBILL_CONFIG` names), write it as
below (`port = 9000`). Unknown names are an error in `waybill.toml` and a warning in the
environment.

A `.env` file in the working directory adds variables that the environment does not have. Waybill
reads `WAYBILL_*`, `FLOWER_*`, `AWS_*`, the variables of vendors, and those that `waybill.toml`
names. `WAYBILL_ENV_FILE` names another file, or none if it is empty. Next to a running
`waybill up`, commands on its data directory use its environment.

`waybill settings` shows the current values. Providers and models are tables of `waybill.toml`:
[add a provider](../how-to/add-a-provider.md).
"""


def settings(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the reference page instead.")
    ] = False,
) -> None:
    """Show every setting with its value and its meaning."""
    if markdown:
        typer.echo(reference(), nl=False)
        return
    current = load_configuration()
    table = Table("setting", "now", "meaning", box=None)
    for _, name, _, meaning in _fields():
        table.add_row(f"WAYBILL_{name.upper()}", _shown(name, current), meaning)
    Console().print(table)


def reference() -> str:
    """Return docs/reference/configuration.md."""
    pieces = [HEADER]
    title = ""
    for group, name, field, meaning in _fields():
        if group != title:
            title = group
            pieces.append(f"\n## {title}\n\n| Setting | Default | Meaning |\n|---|---|---|\n")
        pieces.append(f"| `{name}` | {_default(field)} | {meaning} |\n")
    return "".join(pieces)


def _fields() -> Iterator[tuple[str, str, FieldInfo, str]]:
    """Yield the title of its group, the name, the field and the meaning of each setting."""
    for group in GROUPS:
        title = (inspect.getdoc(group) or "").rstrip(".")
        meanings = attribute_docstrings(group)
        for name, field in group.model_fields.items():
            yield title, name, field, " ".join(meanings.get(name, "").split())


def attribute_docstrings(group: type) -> Mapping[str, str]:
    """Return the text below each attribute of a class, from its source.

    Pydantic can do this too (`use_attribute_docstrings`), but does it whenever the class is loaded.
    """
    [definition] = ast.parse(inspect.getsource(group)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for statement, following in pairwise(definition.body):
        match statement, following:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = text
    return found


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    return f"`{value}`" if value not in ("", (), {}) else "—"


def _shown(name: str, current: Settings) -> str:
    """Return a value for a screen: no secrets, and no passwords in addresses."""
    value: Any = getattr(current, name)
    if value and is_secret(name):
        return "(set)"
    if isinstance(value, str) and "@" in value and "://" in value:
        scheme, _, rest = value.partition("://")
        return f"{scheme}://…@{rest.rpartition('@')[2]}"
    return "(set)" if name == "files_options" and value else str(value or "")
