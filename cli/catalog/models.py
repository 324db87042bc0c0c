"""`waybill models`: what can be asked for here."""

from typing import Annotated

import typer

from broker.catalog import Model
from broker.catalog.selection import Wanted, cheapest, ordered, selected
from broker.clock import now_ms
from broker.errors import WaybillError
from broker.money import usd_text
from cli.catalog.showing import console, sample_bill, words
from cli.catalog.storage import looked_up
from cli.remote.client import complain
from cli.running import in_force
from cli.tables import Table

HTTP_LIST = "GET /api/v1/models lists"
models = typer.Typer(help="Look at models, their endpoints and prices.", no_args_is_help=True)


@models.command("list")
def list_models(
    q: Annotated[str | None, typer.Option("--query", "-q", help="Part of a name.")] = None,
    sort: Annotated[str | None, typer.Option(help="newest, pricing-low-to-high, …")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what no configured provider serves.")
    ] = False,
) -> None:
    """List models with the price of their cheapest endpoint, in USD per million tokens."""
    known = looked_up(in_force())
    shown = known.everything if everything else known.models
    try:
        found = ordered(selected(shown.values(), Wanted(q=q), names={}, now=now_ms() // 1000), sort)
    except WaybillError as error:
        complain(error.message)
        raise typer.Exit(1) from None
    table = Table("model", "context", "prompt", "completion", "endpoints", box=None, pad_edge=False)
    for model in found:
        price = cheapest(model)
        context = f"{model.context_length:,}" if model.context_length else "-"
        prices = usd_text(price.prompt), usd_text(price.completion)
        served = ", ".join(each.provider for each in model.endpoints)
        table.add_row(model.slug, context, *prices, served)
    console().print(table if found else "none: set e.g. OPENAI_API_KEY (--all lists what there is)")


@models.command()
def show(name: Annotated[str, typer.Argument(help="A slug, or any other name of it.")]) -> None:
    """Show a model: what it can do, and its endpoints with prices and a sample bill."""
    known = looked_up(in_force())
    try:
        model = known.find(name)
    except WaybillError as error:
        complain(error.message.replace(HTTP_LIST, "`waybill models list` lists"))
        raise typer.Exit(1) from None
    console().print(_facts(model))
    table = Table("provider", "its name there", "prices, USD per million tokens",
                  "1,000 in + 500 out, USD", "prompts", "", box=None, pad_edge=False)  # fmt: skip
    for each in model.endpoints:
        policy = each.data_policy
        kept = "kept by nobody" if policy.zdr else "may train" if policy.collects else "not trained"
        state = "" if each.provider in known.providers else "no key"
        table.add_row(
            each.provider, each.native, words(each.price), sample_bill(each.price), kept, state
        )
    console().print(table)


def _facts(model: Model) -> str:
    context = f"{model.context_length:,} tokens" if model.context_length else "not known"
    takes, gives = ", ".join(model.input_modalities), ", ".join(model.output_modalities)
    return f"{model.slug} ({model.name}): takes {takes}; gives {gives}; context {context}"
