"""`waybill eval`: send the prompts of a file to models, grade the answers, show the figures."""

import uuid
from pathlib import Path
from typing import Annotated

import typer

from broker.completion import Json
from broker.evaluations.datasets import DatasetError, read_dataset, read_table_rows
from broker.ids import is_id
from broker.table_files import TableError, read_rows
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
)
from cli.commands.eval.results import check_outputs, finish
from cli.messages import print_error


def evaluate(
    source: Annotated[
        str,
        typer.Argument(
            help="Prompts: JSONL, JSON, CSV, TSV, Parquet, text or a promptfoo YAML. Or the id of "
            "an evaluation (eval_…), to wait for it and show it."
        ),
    ],
    model: Models = None,
    grader: GraderTexts = None,
    samples: Samples = 1,
    max_cost: MaxCost = None,
    settings: Settings = None,
    output: Output = None,
    detach: Detached = False,
) -> None:
    """Compare models by accuracy: send them prompts, grade the answers, show the figures."""
    check_outputs(output)
    if is_id("eval_", source):
        with connected() as client:
            finish(client, client.get(f"/evaluations/{source}"), output, detach=detach)
        return
    request = build_request(model, grader, samples, max_cost, settings)
    request["prompts"] = load_prompts(Path(source))
    with connected() as client:
        found = client.post("/evaluations", request, idempotency_key=uuid.uuid4().hex)
        finish(client, found, output, detach=detach)


def load_prompts(path: Path) -> list[Json]:
    """Return the prompts of a file as the API takes them; exit with 1 for a bad file."""
    try:
        if path.suffix.lower() == ".parquet":
            prompts = read_table_rows(read_rows(path))
        else:
            prompts = read_dataset(path.read_bytes(), path.suffix)
    except (DatasetError, TableError, OSError) as error:
        for problem in str(error).splitlines():
            print_error(f"{path}: {problem}" if isinstance(error, DatasetError) else problem)
        print_error("nothing was submitted")
        raise typer.Exit(1) from None
    return [each.model_dump(mode="json", exclude_defaults=True) for each in prompts]
