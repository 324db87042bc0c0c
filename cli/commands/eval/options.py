"""Options of `waybill eval` and `waybill replay`."""

import re
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from broker.completion import Json

_NEXT = re.compile(r",(?=\w+=)")

Models = Annotated[
    list[str] | None,
    typer.Option(
        "-m",
        "--model",
        metavar="MODEL[=PROVIDER,…]",
        help="A model, perhaps at certain providers; repeat the option for each.",
    ),
]
GraderTexts = Annotated[
    list[str] | None,
    typer.Option(
        "--grader",
        metavar="TYPE[:NAME=VALUE,…]",
        help="exact, contains, regex, numeric, json_schema, similarity, judge, pairwise or http, "
        "with its options, e.g. judge:model=openai/gpt-5,rubric=@rubric.txt; or a JSON object. "
        "@FILE stands for the content of a file. May be repeated.",
    ),
]
Samples = Annotated[int, typer.Option(metavar="N", min=1, help="Answers to each prompt.")]
MaxCost = Annotated[
    float | None,
    typer.Option(metavar="USD", min=0, help="The most that all calls may cost, in US dollars."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any other field of POST /evaluations, e.g. system='Be brief.', cache=true, "
        "baseline=MODEL, service_tier=batch, completion_window=7d; body.NAME is for every call, "
        "e.g. body.max_tokens=50. May be repeated.",
    ),
]
Output = Annotated[
    list[Path] | None,
    typer.Option(
        "-o",
        "--output",
        dir_okay=False,
        help="Output file: .csv, .parquet or .jsonl for all answers, .md or .json for the figures. "
        "May be repeated.",
    ),
]
Detached = Annotated[
    bool, typer.Option("--detach", help="Print the id and do not wait for the end.")
]


def build_request(
    models: list[str] | None,
    graders: list[str] | None,
    samples: int,
    max_cost: float | None,
    settings: list[str] | None,
) -> Json:
    """Return the body of POST /evaluations, without its prompts."""
    request: Json = {"models": _read_models(models), "samples": samples}
    request["graders"] = [_read_grader(text) for text in graders or ()]
    if max_cost is not None:
        request["max_cost"] = max_cost
    body: Json = {}
    for text in settings or ():
        name, value = read_pair(text, "--set")
        target = body if name.startswith("body.") else request
        target[name.removeprefix("body.")] = read_value(value)
    return {**request, "body": body} if body else request


def read_pair(text: str, option: str) -> tuple[str, str]:
    """Return the two parts of NAME=VALUE. Raises BadParameter."""
    name, given, value = text.partition("=")
    if not given or not name:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
    return name, value


def read_value(text: str) -> Any:
    """Return a value read as JSON, the content of a @file, or else the text."""
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text()
        except OSError as error:
            raise typer.BadParameter(f"{text}: {error.strerror}") from None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _read_models(texts: list[str] | None) -> list[Any]:
    if not texts:
        raise typer.BadParameter("name the models to compare: -m one -m another")
    models: list[Any] = []
    for text in texts:
        model, _, providers = text.partition("=")
        names = [name for name in providers.split(",") if name]
        models.append({"model": model, "providers": names} if names else model)
    return models


def _read_grader(text: str) -> Json:
    if text.startswith("{"):
        try:
            value: Json = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise typer.BadParameter(f"not JSON: {error}", param_hint="--grader") from None
        return value
    kind, _, options = text.partition(":")
    grader: Json = {"type": kind}
    for option in _NEXT.split(options) if options else ():
        name, given = read_pair(option, "--grader")
        grader[name] = read_value(given)
    return grader
