"""Output of commands: tables on a terminal, whole lines for programs, JSON."""

from datetime import UTC, datetime
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from broker.completion import Json

PIPE_WIDTH = 200  # a table that a program reads is not wrapped
FIRST_PRINTABLE, DELETE, AFTER_CONTROLS = 0x20, 0x7F, 0xA0


class Table(RichTable):
    """A table whose texts can contain no markup and no control characters.

    Callers choose names, which can contain escape sequences.
    """

    def add_row(self, *cells: Any, **style: Any) -> None:
        shown = [escape(printable(each)) if isinstance(each, str) else each for each in cells]
        super().add_row(*shown, **style)


def printable(text: str, *, lines: bool = False) -> str:
    r"""Write control characters as `\x1b`; with `lines`, line ends and tabs stay."""
    allowed = "\n\t" if lines else ""
    return "".join(
        char if char in allowed or not _is_control(char) else repr(char)[1:-1] for char in text
    )


def open_console() -> Console:
    """Return a console as wide as the terminal, or wide enough for whole lines in a pipe."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)


def make_list(*columns: str) -> Table:
    """Return an empty table with these columns; the first one is never wrapped."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0)
    return table


def print_table(table: RichTable) -> None:
    """Print a table."""
    open_console().print(table)


def day(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d")


def _is_control(char: str) -> bool:
    return ord(char) < FIRST_PRINTABLE or DELETE <= ord(char) < AFTER_CONTROLS


def answer_text(response: Json) -> str:
    """Return the text of a completion, with tool calls as JSON."""
    texts = []
    for choice in response.get("choices") or []:
        message = choice.get("message") or {}
        texts.append(message.get("content") or "")
        if message.get("tool_calls"):
            texts.append(orjson.dumps(message["tool_calls"], option=orjson.OPT_INDENT_2).decode())
    return "\n".join(part for part in texts if part)


def print_json(value: object) -> None:
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
