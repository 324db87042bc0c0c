"""The `waybill` command: a table of commands, each loaded when it is used."""

import gc
import os
import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import version as installed
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from broker.security.redaction import install_traceback_hook, redact
from cli.environment import isolate, take_env_file
from cli.messages import describe_error, find_unknown_variables


class Command(NamedTuple):
    """A command: the function or Typer that runs it, its panel in `--help`, and its help."""

    target: str
    panel: str
    help: str


COMMANDS = {
    "up": Command(
        "cli.start.up:up",
        "Serve",
        "Start Valkey, the API, workers and Flower on this machine; stop them with Ctrl-C.",
    ),
    "demo": Command(
        "cli.commands.demo.command:demo",
        "Serve",
        "Start everything and run 122 prompts at simulated providers that fail often.",
    ),
    "api": Command("cli.start.parts:api", "Serve", "Serve the HTTP API."),
    "worker": Command(
        "cli.start.parts:worker",
        "Serve",
        "Take jobs from the queues, call providers and send webhooks.",
    ),
    "dispatcher": Command(
        "cli.start.parts:dispatcher",
        "Serve",
        "Publish due jobs and recover lost ones, without running jobs.",
    ),
    "flower": Command(
        "cli.start.parts:flower",
        "Serve",
        "Serve Flower, the page that shows workers, tasks and queues.",
    ),
    "migrate": Command(
        "cli.start.parts:migrate",
        "Serve",
        "Migrate the database to the newest version; create an API key on the first start.",
    ),
    "simulate": Command(
        "cli.start.parts:simulate",
        "Serve",
        "Serve simulated providers: the model name sets the behaviour, e.g. sim-lat250-tok50.",
    ),
    "submit": Command(
        "cli.commands.submit:submit",
        "Use",
        "Submit a prompt as a durable job, and fetch its answer at any time.",
    ),
    "run": Command(
        "cli.commands.run.command:run",
        "Use",
        "Run a file as a batch and write each result as soon as it is there.",
    ),
    "batch": Command("cli.commands.batch.command:batch", "Use", "Run files of prompts as batches."),
    "eval": Command(
        "cli.commands.eval.command:evaluate",
        "Use",
        "Compare models by accuracy: send them prompts, grade the answers, show the figures.",
    ),
    "replay": Command(
        "cli.commands.eval.replay:replay",
        "Use",
        "Send the prompts of past calls to other models, and compare with what was answered then.",
    ),
    "compare": Command(
        "cli.commands.compare:compare",
        "Use",
        "Send the same prompt to several models and compare answers, cost, latency and tokens.",
    ),
    "route": Command(
        "cli.commands.route:route",
        "Use",
        "Show which endpoints would serve a prompt, without calling them.",
    ),
    "jobs": Command("cli.commands.jobs:jobs", "Use", "List, show, cancel and follow jobs."),
    "listen": Command(
        "cli.commands.webhooks:listen",
        "Use",
        "Receive webhooks on this machine, verify and print them. Ctrl-C ends it.",
    ),
    "keys": Command(
        "cli.commands.keys:keys",
        "Administer",
        "Create, list and disable API keys. Works on the database; no server is needed.",
    ),
    "users": Command(
        "cli.commands.people:users_",
        "Administer",
        "Create, list and disable users. Works on the database; no server is needed.",
    ),
    "workspaces": Command(
        "cli.commands.people:workspaces_",
        "Administer",
        "Manage workspaces and their members. Works on the database.",
    ),
    "credentials": Command(
        "cli.commands.credentials:credentials",
        "Administer",
        "Manage provider credentials of workspaces (BYOK). Works on the database.",
    ),
    "credits": Command(
        "cli.commands.credits:credits_",
        "Administer",
        "Book and show prepaid credit. Works on the database; no server is needed.",
    ),
    "catalog": Command(
        "cli.commands.catalog:catalog",
        "Administer",
        "Import models and prices. Nothing changes without --apply.",
    ),
    "providers": Command(
        "cli.commands.providers:providers",
        "Administer",
        "List providers, check their keys, pause and resume them.",
    ),
    "webhooks": Command(
        "cli.commands.webhooks:webhooks",
        "Administer",
        "List and create webhook endpoints; list and repeat deliveries.",
    ),
    "doctor": Command(
        "cli.commands.doctor:doctor",
        "Inspect",
        "Check this machine's configuration and services; exit with 1 when something is wrong.",
    ),
    "health": Command(
        "cli.commands.health:health",
        "Inspect",
        "Check the heartbeat of this host's worker, or of the dispatcher; exit with 1 without one.",
    ),
    "settings": Command(
        "cli.commands.settings:settings",
        "Inspect",
        "Show every setting with its value and its meaning.",
    ),
    "usage": Command(
        "cli.commands.usage:usage",
        "Inspect",
        "Show usage and cost, most expensive first. Days begin at midnight UTC.",
    ),
    "models": Command(
        "cli.commands.models:models", "Inspect", "List models with their endpoints and prices."
    ),
    "audit": Command(
        "cli.commands.audit:audit", "Inspect", "Print the audit log as JSON lines, oldest first."
    ),
    "ledger": Command(
        "cli.commands.ledger:ledger_",
        "Inspect",
        "Verify the append-only ledger. Works on the database; no server is needed.",
    ),
}
"""All commands by name. Each module is loaded only when its command is used."""

SERVERS = frozenset({"up", "api", "worker", "dispatcher", "flower", "migrate"})
"""Commands that start a part of Waybill; they print what they read from a `.env` file."""


class CommandGroup(TyperGroup):
    """List every command without loading its module; load the module of the one that is used."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command. End with a sentence, not a traceback, for what a user can correct."""
        install_traceback_hook()
        isolate()
        try:
            return super().main(*args, **kwargs)
        except SystemExit as error:
            if isinstance(error.code, str):
                raise SystemExit(redact(error.code)) from None
            raise
        except Exception as error:
            message = describe_error(error)
            if message is None:
                raise
            print(f"waybill: {redact(message)}", file=sys.stderr, flush=True)
            raise SystemExit(1) from None

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_flag_types(super().get_params(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        message = take_env_file()
        if message and name in SERVERS:
            print(f"waybill: {message}", file=sys.stderr, flush=True)
        for warning in find_unknown_variables(os.environ):
            print(f"waybill: {warning}", file=sys.stderr, flush=True)
        return name, load_command(name) if name in COMMANDS else command, rest


def load_command(word: str) -> Any:
    """Import the module of a command and return the command."""
    module, _, name = COMMANDS[word].target.partition(":")
    gc.disable()  # modules leave no garbage behind; the search for it takes a fifth of the time
    found = getattr(import_module(module), name)
    gc.enable()
    if isinstance(found, typer.Typer):
        command: Any = get_group(found)
    else:
        alone = typer.Typer(add_completion=False)
        alone.command(word)(found)
        command = get_command(alone)
    hide_flag_types(command)
    return command


def _without_flag_types(params: Iterable[Any]) -> list[Any]:
    found = list(params)
    for param in found:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
    return found


def hide_flag_types(command: Any) -> None:
    """Leave out the type of options without a value in the help of a command and those below it."""
    get_params = command.get_params
    command.get_params = lambda ctx: _without_flag_types(get_params(ctx))
    for subcommand in getattr(command, "commands", {}).values():
        hide_flag_types(subcommand)


app = typer.Typer(
    name="waybill",
    cls=CommandGroup,
    help="A self-hosted broker for LLM completions. Start everything here with `waybill up`.",
    no_args_is_help=True,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

for _word, _command in COMMANDS.items():
    app.command(_word, help=_command.help, rich_help_panel=_command.panel)(lambda: None)


def _print_version(is_set: bool) -> None:
    if is_set:
        typer.echo(f"waybill {installed('waybill-broker')}")
        raise typer.Exit


@app.callback()
def _waybill(
    _version: Annotated[
        bool,
        typer.Option(
            "-V", "--version", callback=_print_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """Take the options before a command."""
