"""`waybill usage`: usage and cost, from the database."""

import csv
import sys
from enum import StrEnum
from typing import Annotated

import typer

from broker import usage as sums
from broker.clock import moment, now_ms
from broker.spreadsheets import cell
from broker.usage.periods import DAY_MS
from cli.database import WORKSPACE_HELP, find_workspace_id, local_database
from cli.output import Table, print_table

METRICS = ("request_count", "failure_count", "prompt_tokens", "completion_tokens", "total_usage")


class By(StrEnum):
    """The grouping of the usage table."""

    MODEL = "model"
    PROVIDER = "provider"
    KEY = "key"
    WORKSPACE = "workspace"
    APP = "app"
    USER = "user"
    DAY = "day"
    MONTH = "month"


def usage(
    by: Annotated[By, typer.Option(help="Grouping of the rows.")] = By.MODEL,
    days: Annotated[
        int, typer.Option(metavar="N", min=1, help="Number of days, including today.")
    ] = 30,
    workspace: Annotated[str | None, typer.Option(help=f"Only this one. {WORKSPACE_HELP}")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Show usage and cost, most expensive first. Days begin at midnight UTC."""
    now = now_ms()
    with local_database() as database:
        chosen = None if workspace is None else database.read_now(find_workspace_id, workspace)
        start = now - now % DAY_MS - (days - 1) * DAY_MS
        rows = database.read_now(sums.run_query, _build_query(by, start, now, chosen))
    lines = [(_name(row, by), *[row[name] for name in METRICS]) for row in rows]
    if as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow((by.value, *METRICS))
        writer.writerows((cell(name), *figures) for name, *figures in lines)
        return
    table = Table(box=None, pad_edge=False)
    for number, column in enumerate((by.value, "answers", "failed", "input", "output", "USD")):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for name, *counts, cost in lines:
        table.add_row(name or "-", *[f"{each:,}" for each in counts], f"{cost:.6f}")
    print_table(table)


def _build_query(by: By, start: int, now: int, workspace_id: str | None) -> sums.UsageQuery:
    granularity = by.value if by in (By.DAY, By.MONTH) else None
    dimension = {By.KEY: "api_key_id"}.get(by, by.value)
    return sums.UsageQuery(
        metrics=METRICS,
        start=start,
        end=now + 1,
        workspace_ids=None if workspace_id is None else [workspace_id],
        dimensions=() if granularity else (dimension,),
        granularity=granularity,
        order_by=None if granularity else "total_usage",
    )


def _name(row: sums.UsageRow, by: By) -> str:
    if "date" in row:
        return moment(int(row["date"]))[: 7 if by is By.MONTH else 10]
    return str(row["api_key_id" if by is By.KEY else by.value])
