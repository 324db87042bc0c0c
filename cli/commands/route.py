"""`waybill route`: the endpoints that would serve a prompt, in order. Nothing is sent."""

import sys
from collections.abc import Iterator
from typing import Annotated

import orjson
import typer
from rich.console import Console, RenderableType
from rich.text import Text

from broker.completion import Json
from cli.client.client import connected
from cli.commands.submit import chat_body
from cli.output import Table


def route(
    prompt: Annotated[str, typer.Argument(help="The prompt; - reads it from standard input.")],
    model: Annotated[
        str,
        typer.Option("-m", "--model", envvar="WAYBILL_MODEL", help="Model slug, or waybill/auto."),
    ],
    explain: Annotated[
        bool, typer.Option("--explain", help="Explain the order and the excluded endpoints.")
    ] = False,
    fallback: Annotated[
        list[str] | None, typer.Option(help="Model to try next; may be repeated.")
    ] = None,
    sort: Annotated[str | None, typer.Option(help="price, throughput, latency or exacto.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Output token limit.")
    ] = None,
    provider: Annotated[
        str | None, typer.Option(help="The `provider` object of a body, as JSON.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Show which endpoints would serve a prompt, without calling them."""
    body = chat_body(
        sys.stdin.read() if prompt == "-" else prompt,
        model,
        system=None,
        max_tokens=max_tokens,
        fallbacks=fallback or [],
        stream=False,
    )
    options = _options(provider, sort)
    if options:
        body["provider"] = options
    with connected() as client:
        planned = client.post("/route", body)
    if as_json:
        typer.echo(orjson.dumps(planned, option=orjson.OPT_INDENT_2).decode())
        return
    console = Console()
    for part in describe(planned, explain=explain):
        console.print(part)


def _options(provider: str | None, sort: str | None) -> Json:
    try:
        options = orjson.loads(provider) if provider else {}
    except orjson.JSONDecodeError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint="--provider") from None
    if not isinstance(options, dict):
        raise typer.BadParameter("must be a JSON object", param_hint="--provider")
    return options | ({"sort": sort} if sort else {})


def describe(planned: Json, *, explain: bool) -> Iterator[RenderableType]:
    """Yield the parts of a plan's description."""
    routing = planned["routing"]
    if routing["choice"]:
        choice = routing["choice"]
        yield Text(f"{choice['task']}: {choice['why']}, of {choice['considered']} models")
    table = Table(box=None, header_style="dim")
    for title in ("", "provider", "model", "up to USD", *(["why"] if explain else [])):
        table.add_column(title)
    for number, place in enumerate(planned["plan"], start=1):
        reason = [place["reason"]] if explain else []
        cells = (place["provider"], place["model"], f"{place['quote']:.6f}")
        table.add_row(str(number), *cells, *reason)
    yield table
    if not explain:
        return
    for note in routing["notes"]:
        yield Text(note, style="yellow")
    if routing["excluded"]:
        yield Text("\nnot in the plan", style="bold")
        excluded = Table(box=None, header_style="dim")
        for title in ("provider", "model", "excluded by", ""):
            excluded.add_column(title)
        for each in routing["excluded"]:
            excluded.add_row(each["provider"], each["model"], each["excluded_by"], each["detail"])
        yield excluded
    yield Text(f"\nordered by {routing['strategy']}, seed {routing['seed']}", style="dim")
