"""Show an evaluation: its progress, its figures, and files of its results."""

import time
from pathlib import Path

import orjson
import typer
from rich.console import Console

from broker.completion import Json
from broker.evaluations.figures import Summary
from broker.evaluations.markdown import list_cells, list_findings, list_headings, write_markdown
from cli.client.client import Client
from cli.messages import print_error
from cli.output import Table, open_console, printable

ENDED = frozenset({"completed", "cancelled", "expired", "failed"})
POLL_SECONDS = 0.5
SUFFIXES = (".csv", ".parquet", ".jsonl", ".md", ".json")
PAGE_PROMPTS = 100


def check_outputs(outputs: list[Path] | None) -> None:
    """Raise BadParameter for an output file in no known format."""
    for path in outputs or ():
        if path.suffix.lower() not in SUFFIXES:
            raise typer.BadParameter(
                f"{path.suffix} is none of {', '.join(SUFFIXES)}", param_hint="--output"
            )


def finish(client: Client, found: Json, outputs: list[Path] | None, *, detach: bool) -> None:
    """Wait for the end of an evaluation, show it, write its files, and exit."""
    if detach:
        print(found["id"])
        return
    try:
        found = _await_end(client, found)
    except KeyboardInterrupt:
        print_error(f"the evaluation continues: waybill eval {found['id']}")
        raise typer.Exit(130) from None
    for path in outputs or ():
        _write(client, found, path)
    show(found, open_console())
    failed = sum(column["failed"] for column in found["summary"]["columns"])
    raise typer.Exit(0 if found["status"] == "completed" and not failed else 1)


def show(found: Json, console: Console) -> None:
    """Print the figures of an evaluation that has ended."""
    summary = Summary.model_validate(found["summary"])
    headings = list_headings(summary)
    table = Table(title=printable(found["name"] or found["id"]), title_justify="left")
    for index, heading in enumerate(headings):
        table.add_column(printable(heading), justify="right" if index else "left")
    for column in summary.columns:
        table.add_row(*list_cells(column))
    console.print(table)
    for finding in list_findings(summary):
        console.print(printable(finding), markup=False, highlight=False, soft_wrap=True)
    reason = f" ({found['stop_reason']})" if found["stop_reason"] else ""
    text = f"{found['id']}: {found['status']}{reason}, ${found['cost']:.6f}"
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def describe(found: Json) -> str:
    """Return the progress of an evaluation in one line."""
    calls = [found["answers"], found["judging"]]
    counted = [
        f"{each['completed'] + each['failed']}/{each['total']} {name}"
        for each, name in zip(calls, ("answers", "judgements"), strict=True)
        if each["total"]
    ]
    return ", ".join([found["status"], *counted, f"${found['cost']:.6f}"])


def _await_end(client: Client, found: Json) -> Json:
    """Return the evaluation once it has ended; show the progress until then."""
    console = Console(stderr=True)
    with console.status("") as status:
        while found["status"] not in ENDED:
            status.update(describe(found))
            time.sleep(POLL_SECONDS)
            found = client.get(f"/evaluations/{found['id']}")
    return found


def _write(client: Client, found: Json, path: Path) -> None:
    suffix = path.suffix.lower()
    results = f"/evaluations/{found['id']}/results"
    if suffix == ".md":
        path.write_text(write_markdown(Summary.model_validate(found["summary"])))
    elif suffix == ".json":
        path.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    elif suffix == ".jsonl":
        _write_lines(client, results, path)
    else:
        with path.open("wb") as file:
            client.download(f"{results}?format={suffix[1:]}", file)


def _write_lines(client: Client, results: str, path: Path) -> None:
    after, has_more = 0, True
    with path.open("wb") as file:
        while has_more:
            page = client.get(results, {"limit": PAGE_PROMPTS, "after": after})
            for cell in page["data"]:
                file.write(orjson.dumps(cell, option=orjson.OPT_APPEND_NEWLINE))
            after, has_more = page["last_prompt"], page["has_more"]
