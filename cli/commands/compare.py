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
from cli.messages import complain
from cli.output import Table, print_json, printable

LOOK_SECONDS = 0.5
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
        int | None, typer.Option(min=1, help="Output token limit of each answer.")
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
            table = _awaited(client, made)
        except KeyboardInterrupt:
            complain(f"it goes on without you: GET {made['urls']['self']}")
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
    asked: Json = {"models": models}
    if file is not None:
        asked["prompts"] = read_prompts(file)
    else:
        asked["prompt"] = sys.stdin.read() if prompt == "-" else prompt
    if system is not None:
        asked["system"] = system
    if max_tokens is not None:
        asked["body"] = {"max_tokens": max_tokens}
    return asked


def read_prompts(file: Path) -> list[str]:
    """Return the prompts of a file. Raises BadParameter that names the line."""
    lines = [line for line in file.read_text().splitlines() if line.strip()]
    if file.suffix not in {".json", ".jsonl", ".ndjson"}:
        return lines
    return [_prompt(number, line) for number, line in enumerate(lines, start=1)]


def _prompt(number: int, line: str) -> str:
    try:
        told = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise typer.BadParameter(f"line {number} is not JSON: {error}") from None
    found = told.get("prompt") if isinstance(told, dict) else told
    if not isinstance(found, str):
        raise typer.BadParameter(f'line {number} is neither "…" nor {{"prompt": "…"}}')
    return found


def _awaited(client: Client, table: Json) -> Json:
    """Return the table once it is full, telling a person how far it is."""
    console = Console(stderr=True)
    with console.status("") as status:
        while table["status"] != "completed":
            counts = table["counts"]
            status.update(f"{counts['ended']} of {counts['total']} answers")
            time.sleep(LOOK_SECONDS)
            table = client.get(f"/compare/{table['id']}")
    return table


def _write(client: Client, table: Json, output: Path) -> None:
    if output.suffix == ".csv":
        output.write_text(client.text(f"/compare/{table['id']}", {"format": "csv"}))
    else:
        output.write_bytes(orjson.dumps(table, option=orjson.OPT_INDENT_2))


def show(table: Json, console: Console) -> None:
    """Print the answers of each prompt, then what each model took."""
    for row in table["rows"]:
        prompt = escape(printable(_cut(row["prompt"])))
        answers = Table(title=prompt, title_justify="left", show_lines=True)
        for name in ("model", "answer", "cost", "seconds", "tokens"):
            answers.add_column(name, justify="left" if name in {"model", "answer"} else "right")
        for each in row["answers"]:
            said = Text(printable(_said(each), lines=True))
            answers.add_row(each["model"], said, *_figures(each))
        console.print(answers)
    if len(table["rows"]) > 1:
        console.print(_totals(table))


def _totals(table: Json) -> Table:
    totals = Table(title="In all", title_justify="left")
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


def _figures(answer: Json) -> tuple[str, str, str]:
    if answer["cost"] is None:
        return "", "", ""
    tokens = answer["prompt_tokens"] + answer["completion_tokens"]
    return f"${answer['cost']:.6f}", f"{answer['latency_ms'] / 1000:.2f}", str(tokens)


def _said(answer: Json) -> str:
    if answer["answer"] is not None:
        return _cut(answer["answer"])
    return f"{answer['status']}: {(answer['error'] or {}).get('message') or 'no answer'}"


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
