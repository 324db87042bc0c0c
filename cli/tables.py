"""Tables on a terminal, and whole lines for programs that read them."""

from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 200  # nobody wraps a table that is read by a program


def print_table(table: Table) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    console.print(table)


def day(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d")
