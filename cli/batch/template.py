"""A prompt made from the columns of a row, as in `Translate {text} into {language}`."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


class TemplateError(Exception):
    """The template does not fit the table; the text says what to change."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text with `{column}` in it; `{{` and `}}` stand for braces."""

    text: str

    def check(self, columns: Collection[str]) -> None:
        """Raise TemplateError where a variable is no column, or there is none."""
        wanted = self.variables
        if not wanted:
            raise TemplateError("--template names no column: write e.g. 'Translate {text}'")
        for name in wanted:
            if name not in columns:
                known = ", ".join(columns)
                raise TemplateError(f"--template: there is no column {name!r}; there are {known}")

    @property
    def variables(self) -> list[str]:
        return [match[1] for match in _PART.finditer(self.text) if match[1] is not None]

    def fill(self, row: Mapping[str, Any]) -> str:
        """Return the prompt of a row; what is no text is written as JSON, nothing as nothing."""

        def part(match: re.Match[str]) -> str:
            return match[0][0] if match[1] is None else _text(row[match[1]])

        return _PART.sub(part, self.text)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return orjson.dumps(value, default=str).decode()
