"""`waybill compare`: one prompt, or a file of them, to several models side by side."""

import sys
import time
import uuid
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from broker.completion import Json
from cli.client.client import Client, connected
from cli.messages import print_error
from cli.output import Table, print_json, printable

POLL_SECONDS = 0.5
SHOWN_CHARACTERS = 300


def compare(
    prompt: Annotated[
        str | None, typer.Argument(help="The prompt; - reads it from standard input.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("-m", "--model", help="A model; repeat the option for each.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "-f",
            "--file",
            exists=True,
            dir_okay=False,
            help='Prompts, one on each line: text, or JSON ("…" or {"prompt": "…"}).',
        ),
    ] = None,
    system: Annotated[str | None, typer.Option(help="System message.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Output token limit of each answer.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", dir_okay=False, help="Output file: .csv or .json."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Send the same prompt to several models and compare answers, cost, latency and tokens."""
    body = _body(prompt, model or [], file, system, max_tokens)
    with connected() as client:
        made = client.post("/compare", body, idempotency_key=uuid.uuid4().hex)
        try:
            table = _await_table(client, made)
        except KeyboardInterrupt:
            print_error(f"the comparison continues: GET {made['urls']['self']}")
            raise typer.Exit(130) from None
        if output is not None:
            _write(client, table, output)
    if as_json:
        print_json(table)
    else:
        show(table, Console())
    raise typer.Exit(1 if any(each["failed"] for each in table["models"]) else 0)


def _body(
    prompt: str | None,
    models: list[str],
    file: Path | None,
    system: str | None,
    max_tokens: int | None,
) -> Json:
    if not models:
        raise typer.BadParameter("name the models to compare: -m one -m another")
    if (prompt is None) == (file is None):
        raise typer.BadParameter("give a prompt, or a --file of them")
    body: Json = {"models": models}
    if file is not None:
        body["prompts"] = read_prompts(file)
    else:
        body["prompt"] = sys.stdin.read() if prompt == "-" else prompt
    if system is not None:
        body["system"] = system
    if max_tokens is not None:
        body["body"] = {"max_tokens": max_tokens}
    return body


def read_prompts(file: Path) -> list[str]:
    """Return the prompts of a file. Raises BadParameter that names the line."""
    lines = [line for line in file.read_text().splitlines() if line.strip()]
    if file.suffix not in {".json", ".jsonl", ".ndjson"}:
        return lines
    return [_prompt(number, line) for number, line in enumerate(lines, start=1)]


def _prompt(number: int, line: str) -> str:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise typer.BadParameter(f"line {number} is not JSON: {error}") from None
    found = value.get("prompt") if isinstance(value, dict) else value
    if not isinstance(found, str):
        raise typer.BadParameter(f'line {number} is neither "…" nor {{"prompt": "…"}}')
    return found


def _await_table(client: Client, table: Json) -> Json:
    """Return the table once it is complete; show the progress until then."""
    console = Console(stderr=True)
    with console.status("") as status:
        while table["status"] != "completed":
            counts = table["counts"]
            status.update(f"{counts['ended']} of {counts['total']} answers")
            time.sleep(POLL_SECONDS)
            table = client.get(f"/compare/{table['id']}")
    return table


def _write(client: Client, table: Json, output: Path) -> None:
    if output.suffix == ".csv":
        output.write_text(client.text(f"/compare/{table['id']}", {"format": "csv"}))
    else:
        output.write_bytes(orjson.dumps(table, option=orjson.OPT_INDENT_2))


def show(table: Json, console: Console) -> None:
    """Print the answers of each prompt, then the totals of each model."""
    for row in table["rows"]:
        prompt = escape(printable(_shorten(row["prompt"])))
        answers = Table(title=prompt, title_justify="left", show_lines=True)
        for name in ("model", "answer", "cost", "seconds", "tokens"):
            answers.add_column(name, justify="left" if name in {"model", "answer"} else "right")
        for each in row["answers"]:
            text = Text(printable(_answer_text(each), lines=True))
            answers.add_row(each["model"], text, *_format_figures(each))
        console.print(answers)
    if len(table["rows"]) > 1:
        console.print(_totals(table))


def _totals(table: Json) -> Table:
    totals = Table(title="Total", title_justify="left")
    for name in ("model", "answers", "failed", "cost", "mean seconds", "tokens"):
        totals.add_column(name, justify="left" if name == "model" else "right")
    for each in table["models"]:
        totals.add_row(
            each["model"],
            str(each["completed"]),
            str(each["failed"]),
            f"${each['cost']:.6f}",
            f"{each['mean_latency_ms'] / 1000:.2f}",
            str(each["prompt_tokens"] + each["completion_tokens"]),
        )
    return totals


def _format_figures(answer: Json) -> tuple[str, str, str]:
    if answer["cost"] is None:
        return "", "", ""
    tokens = answer["prompt_tokens"] + answer["completion_tokens"]
    return f"${answer['cost']:.6f}", f"{answer['latency_ms'] / 1000:.2f}", str(tokens)


def _answer_text(answer: Json) -> str:
    if answer["answer"] is not None:
        return _shorten(answer["answer"])
    return f"{answer['status']}: {(answer['error'] or {}).get('message') or 'no answer'}"


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
