"""`waybill replay`: send the prompts of past calls to other models."""

import uuid
from typing import Annotated

import typer

from broker.completion import Json
from cli.client.client import connected
from cli.commands.eval.options import (
    Detached,
    GraderTexts,
    MaxCost,
    Models,
    Output,
    Samples,
    Settings,
    build_request,
    read_pair,
    read_value,
)
from cli.commands.eval.results import check_outputs, finish

METADATA = "metadata."
NUMBERS = frozenset({"limit", "created_after", "created_before"})


def replay(
    where: Annotated[
        list[str] | None,
        typer.Option(
            "-w",
            "--where",
            metavar="NAME=VALUE",
            help="Which past calls: model, preset, api_key_id, app, user, session_id, "
            "metadata.NAME, created_after, created_before (Unix seconds), limit (100). May be "
            "repeated.",
        ),
    ] = None,
    model: Models = None,
    grader: GraderTexts = None,
    samples: Samples = 1,
    max_cost: MaxCost = None,
    settings: Settings = None,
    output: Output = None,
    detach: Detached = False,
) -> None:
    """Send the prompts of past calls to other models, and compare with what was answered then."""
    check_outputs(output)
    request = build_request(model, grader, samples, max_cost, settings)
    request["replay"] = read_search(where)
    with connected() as client:
        found = client.post("/evaluations", request, idempotency_key=uuid.uuid4().hex)
        finish(client, found, output, detach=detach)


def read_search(texts: list[str] | None) -> Json:
    """Return the field `replay`. Raises BadParameter."""
    search: Json = {}
    for text in texts or ():
        name, value = read_pair(text, "--where")
        if name.startswith(METADATA):
            search.setdefault("metadata", {})[name.removeprefix(METADATA)] = value
        else:
            search[name] = read_value(value) if name in NUMBERS else value
    return search
