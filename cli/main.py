"""`waybill`: one command, each of its words in a module of its own, loaded when it is asked for."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

WORDS = {
    "up": (
        "cli.start.up:up",
        "Start Valkey, the API, workers and Flower here; stop them with Ctrl-C.",
    ),
    "demo": (
        "cli.demo.command:demo",
        "See it work: start everything, run 122 prompts at simulated providers that fail a lot.",
    ),
    "doctor": (
        "cli.doctor.command:doctor",
        "Check this machine's configuration and services; exit code 1 when something is wrong.",
    ),
    "settings": ("cli.settings:settings", "Show every setting: what it is now, and what it means."),
    "submit": (
        "cli.submit:submit",
        "Submit a prompt as a job. It is safe from then on: come back for the answer any time.",
    ),
    "route": ("cli.route:route", "Show where a prompt would go, without spending a cent."),
    "run": (
        "cli.run.command:run",
        "Run a file as a batch and write each result as soon as it is there.",
    ),
    "jobs": ("cli.jobs.command:jobs", "Look at jobs, cancel them, follow them."),
    "batch": ("cli.batch.command:batch", "Files of prompts, run as batches."),
    "compare": (
        "cli.compare:compare",
        "Ask several models the same and compare answers, cost, latency and tokens.",
    ),
    "listen": (
        "cli.listen:listen",
        "Receive webhooks here and print them, saying what did not verify. Ctrl-C ends it.",
    ),
    "usage": (
        "cli.usage:usage",
        "Show what was used and what it cost, dearest first. Days begin at midnight UTC.",
    ),
    "audit": ("cli.audit:audit", "Print the audit log as JSON lines, oldest first."),
    "keys": (
        "cli.keys:keys",
        "Make, list and disable API keys. Works on the database: no server has to run.",
    ),
    "users": (
        "cli.people:users_",
        "Make, list and disable users. Works on the database: no server has to run.",
    ),
    "workspaces": (
        "cli.people:workspaces_",
        "Make and list workspaces, and say who is in them. Works on the database.",
    ),
    "credentials": (
        "cli.credentials:credentials",
        (
            "Workspaces' own keys of providers (BYOK): add, list, disable, and seal anew. Works on "
            "the database: no server has to run."
        ),
    ),
    "credits": (
        "cli.credit:credits_",
        "Prepaid credit. Works on the database: no server has to run.",
    ),
    "ledger": (
        "cli.ledger:ledger_",
        "The append-only ledger. Works on the database: no server has to run.",
    ),
    "models": ("cli.catalog.models:models", "Look at models, their endpoints and prices."),
    "catalog": (
        "cli.catalog.command:catalog",
        "Import models and prices. Nothing changes before --apply.",
    ),
    "providers": ("cli.providers.command:providers", "Look at providers and try their keys."),
    "webhooks": (
        "cli.webhooks:webhooks",
        "Where events are sent, and what became of each delivery.",
    ),
    "api": ("cli.start.serve:api", "Serve the HTTP API."),
    "worker": (
        "cli.start.serve:worker",
        "Take jobs from the queues and call providers; send webhooks.",
    ),
    "dispatcher": (
        "cli.start.serve:dispatcher",
        "Publish what is due and rescue what was lost, without taking jobs.",
    ),
    "flower": (
        "cli.start.serve:flower",
        "Serve Flower, the page that shows workers, tasks and queues.",
    ),
    "migrate": (
        "cli.start.serve:migrate",
        "Bring the database to the newest version; on the first start, make an API key.",
    ),
    "simulate": (
        "cli.start.serve:simulate",
        "Serve simulated providers: the model name sets the behaviour, e.g. sim-lat250-tok50.",
    ),
}
"""Each word: the function or Typer that it stands for, and what `waybill --help` says of it."""


class Words(TyperGroup):
    """Shows every word at once, and loads the module of the one that is used."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, loaded(name) if name in WORDS else command, rest


def loaded(word: str) -> Any:
    """Import a word's module and return its command."""
    module, _, name = WORDS[word][0].partition(":")
    found = getattr(import_module(module), name)
    if isinstance(found, typer.Typer):
        return get_group(found)
    alone = typer.Typer(add_completion=False)
    alone.command(word)(found)
    return get_command(alone)


app = typer.Typer(
    name="waybill",
    cls=Words,
    help="A self-hosted broker for LLM completions. Start everything here with `waybill up`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

for _word, (_, _help) in WORDS.items():
    app.command(_word, help=_help)(lambda: None)
