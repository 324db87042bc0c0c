"""Output of commands: tables on a terminal, whole lines for programs, JSON."""

from datetime import UTC, datetime
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from broker.completion import Json

PIPE_WIDTH = 200  # nobody wraps a table that is read by a program
FIRST_PRINTABLE, DELETE, AFTER_CONTROLS = 0x20, 0x7F, 0xA0


class Table(RichTable):
    """A table whose texts are shown as they were written: they can neither colour nor command.

    Callers choose names, and may put escape sequences into them.
    """

    def add_row(self, *cells: Any, **style: Any) -> None:
        shown = [escape(printable(each)) if isinstance(each, str) else each for each in cells]
        super().add_row(*shown, **style)


def printable(text: str, *, lines: bool = False) -> str:
    r"""Write control characters as `\x1b`; line ends and tabs stay where lines are wanted."""
    kept = "\n\t" if lines else ""
    return "".join(
        char if char in kept or not _is_control(char) else repr(char)[1:-1] for char in text
    )


def print_table(table: RichTable) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    console.print(table)


def day(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d")


def _is_control(char: str) -> bool:
    return ord(char) < FIRST_PRINTABLE or DELETE <= ord(char) < AFTER_CONTROLS


def answer_text(response: Json) -> str:
    """Return what a completion says; tool calls as JSON."""
    said = []
    for choice in response.get("choices") or []:
        message = choice.get("message") or {}
        said.append(message.get("content") or "")
        if message.get("tool_calls"):
            said.append(orjson.dumps(message["tool_calls"], option=orjson.OPT_INDENT_2).decode())
    return "\n".join(part for part in said if part)


def print_json(value: object) -> None:
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
