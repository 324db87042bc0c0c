"""`waybill models`: list and show models, their endpoints and prices."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated

import typer

from broker.catalog import Catalog, Model
from broker.catalog.selection import (
    ListingFilter,
    build_sort_key,
    find_lowest_price,
    select_models,
    sort_models,
)
from broker.clock import now_ms
from broker.errors import WaybillError
from broker.money import usd_text
from broker.providers.endpoints import Endpoint
from cli.commands.price_tables import describe_price, sample_bill
from cli.configuration import load_configuration
from cli.database import look_up_catalog
from cli.messages import print_error
from cli.output import Table, day, open_console

ALL = "all"
HTTP_LIST = "GET /api/v1/models lists"
models = typer.Typer(help="List models with their endpoints and prices.", no_args_is_help=True)


@models.command("list")
def list_models(
    q: Annotated[str | None, typer.Option("--query", "-q", help="Part of a name.")] = None,
    outputs: Annotated[
        str, typer.Option("--output", help="Output modality: text, image, embeddings, …, all.")
    ] = "text",
    sort: Annotated[str | None, typer.Option(help="newest, pricing-low-to-high, …")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Include models that no configured provider serves.")
    ] = False,
) -> None:
    """List models with the price of their cheapest endpoint, in USD per million tokens."""
    known = look_up_catalog(load_configuration())
    shown = known.all_models if everything else known.models
    filter_ = ListingFilter(
        q=q, output_modalities=frozenset() if outputs == ALL else frozenset({outputs})
    )
    try:
        found = select_models(shown.values(), filter_, names={}, now=now_ms() // 1000)
        found = sort_models(found, sort) if sort else sorted(found, key=build_sort_key)
    except WaybillError as error:
        print_error(error.message)
        raise typer.Exit(1) from None
    if not found:
        open_console().print(_describe_empty(shown, q, outputs))
        return
    open_console().print(_table(found))
    open_console().print(_count_models(found, shown.values()))


def _table(found: Sequence[Model]) -> Table:
    table = Table(
        *("model", "input → output", "context", "prompt", "completion"),
        *("created", "retired on", "endpoints"),
        box=None,
        pad_edge=False,
    )
    for model in found:
        price = find_lowest_price(model)
        table.add_row(
            model.slug,
            f"{'+'.join(model.input_modalities)} → {'+'.join(model.output_modalities)}",
            f"{model.context_length:,}" if model.context_length else "-",
            *(usd_text(price.prompt), usd_text(price.completion)),
            day(model.created * 1000) if model.created else "-",
            model.expires or "-",
            ", ".join(each.provider for each in model.endpoints),
        )
    return table


def _count_models(found: Sequence[Model], shown: Collection[Model]) -> str:
    """Return how many models are listed, and how many more exist."""
    others = len(shown) - len(found)
    more = f"; {others} more: --output {ALL}, no --query" if others else ""
    return f"{len(found)} models{more}"


def _describe_empty(shown: Mapping[str, Model], q: str | None, outputs: str) -> str:
    if shown:
        named = f" whose name contains {q!r}" if q else ""
        return f"none of {len(shown)} models has output {outputs}{named} (--output {ALL} lists all)"
    return "none: set e.g. OPENAI_API_KEY (--all lists what there is)"


@models.command()
def show(name: Annotated[str, typer.Argument(help="A slug or another name of the model.")]) -> None:
    """Show a model: capabilities, endpoints, prices and the cost of a sample call."""
    known = look_up_catalog(load_configuration())
    try:
        model = known.find(name)
    except WaybillError as error:
        print_error(error.message.replace(HTTP_LIST, "`waybill models list` lists"))
        raise typer.Exit(1) from None
    open_console().print(_facts(model))
    table = Table("provider", "native name", "prices, USD per million tokens",
                  "1,000 in + 500 out, USD", "prompts", "", box=None, pad_edge=False)  # fmt: skip
    for each in model.endpoints:
        policy = each.data_policy
        kept = "not kept" if policy.zdr else "may train" if policy.collects else "not trained"
        state = _state(each, known)
        table.add_row(
            each.provider,
            each.native,
            describe_price(each.price),
            sample_bill(each.price),
            kept,
            state,
        )
    open_console().print(table)


def _state(endpoint: Endpoint, known: Catalog) -> str:
    """Return why an endpoint is not offered; empty where it is."""
    if endpoint.retired:
        return f"retired on {endpoint.expires}" if endpoint.expires else "deprecated"
    if not known.calls(endpoint):
        return f"served by its {endpoint.interface.value} API"
    return "" if endpoint.provider in known.providers else "no key"


def _facts(model: Model) -> str:
    context = f"{model.context_length:,} tokens" if model.context_length else "not known"
    takes, gives = ", ".join(model.input_modalities), ", ".join(model.output_modalities)
    until = f"; retired on {model.expires}" if model.expires else ""
    return f"{model.slug} ({model.name}): takes {takes}; gives {gives}; context {context}{until}"
