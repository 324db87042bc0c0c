"""The `waybill` command: a table of commands, each loaded when it is used."""

import ast
import os
import sys
from importlib import import_module
from importlib.abc import InspectLoader
from importlib.metadata import version as installed
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from broker.security.redaction import install_traceback_hook, redact
from cli.environment import isolate, take_env_file
from cli.messages import find_unknown_variables, sentence

COMMANDS = {
    "up": "cli.start.up:up",
    "demo": "cli.commands.demo.command:demo",
    "doctor": "cli.commands.doctor:doctor",
    "settings": "cli.commands.settings:settings",
    "submit": "cli.commands.submit:submit",
    "route": "cli.commands.route:route",
    "run": "cli.commands.run.command:run",
    "jobs": "cli.commands.jobs:jobs",
    "batch": "cli.commands.batch.command:batch",
    "compare": "cli.commands.compare:compare",
    "listen": "cli.commands.webhooks:listen",
    "usage": "cli.commands.usage:usage",
    "audit": "cli.commands.audit:audit",
    "keys": "cli.commands.keys:keys",
    "users": "cli.commands.people:users_",
    "workspaces": "cli.commands.people:workspaces_",
    "credentials": "cli.commands.credentials:credentials",
    "credits": "cli.commands.credits:credits_",
    "ledger": "cli.commands.ledger:ledger_",
    "models": "cli.commands.models:models",
    "catalog": "cli.commands.catalog:catalog",
    "providers": "cli.commands.providers:providers",
    "webhooks": "cli.commands.webhooks:webhooks",
    "api": "cli.start.parts:api",
    "worker": "cli.start.parts:worker",
    "dispatcher": "cli.start.parts:dispatcher",
    "flower": "cli.start.parts:flower",
    "migrate": "cli.start.parts:migrate",
    "simulate": "cli.start.parts:simulate",
}
"""Each word, and the function or Typer that it stands for, which says what it does."""


SERVERS = frozenset({"up", "api", "worker", "dispatcher", "flower", "migrate"})
"""The words that start a part of Waybill; they say what they take from a `.env` file."""


class CommandGroup(TyperGroup):
    """Shows every word at once, and loads the module of the one that is used."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            command.help = help_of(cmd_name)
        return command

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command; what a person can mend ends in a sentence, not in a traceback."""
        install_traceback_hook()
        isolate()
        try:
            return super().main(*args, **kwargs)
        except SystemExit as error:
            if isinstance(error.code, str):
                raise SystemExit(redact(error.code)) from None
            raise
        except Exception as error:
            told = sentence(error)
            if told is None:
                raise
            print(f"waybill: {redact(told)}", file=sys.stderr, flush=True)
            raise SystemExit(1) from None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        told = take_env_file()
        if told and name in SERVERS:
            print(f"waybill: {told}", file=sys.stderr, flush=True)
        for told in find_unknown_variables(os.environ):
            print(f"waybill: {told}", file=sys.stderr, flush=True)
        return name, load_command(name) if name in COMMANDS else command, rest


def load_command(word: str) -> Any:
    """Import a word's module and return its command."""
    module, _, name = COMMANDS[word].partition(":")
    found = getattr(import_module(module), name)
    if isinstance(found, typer.Typer):
        return get_group(found)
    alone = typer.Typer(add_completion=False)
    alone.command(word)(found)
    return get_command(alone)


def help_of(word: str) -> str:
    """Return what a word says of itself, as its module is written: importing all takes a second."""
    module, _, name = COMMANDS[word].partition(":")
    spec = find_spec(module)
    assert spec is not None
    assert isinstance(spec.loader, InspectLoader)
    for statement in ast.parse(spec.loader.get_source(module) or "").body:
        match statement:
            case ast.FunctionDef(name=defined) if defined == name:
                told = ast.get_docstring(statement) or ""
                return told.partition("\n\n")[0].replace("\n", " ")
            case ast.Assign(targets=[ast.Name(defined)], value=ast.Call(keywords=given)) if (
                defined == name
            ):
                texts = (each.value for each in given if each.arg == "help")
                return str(ast.literal_eval(next(texts)))
    raise LookupError(COMMANDS[word])


app = typer.Typer(
    name="waybill",
    cls=CommandGroup,
    help="A self-hosted broker for LLM completions. Start everything here with `waybill up`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

for _word in COMMANDS:
    app.command(_word)(lambda: None)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"waybill {installed('waybill-broker')}")
        raise typer.Exit


@app.callback()
def _waybill(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say which it is."),
    ] = False,
) -> None:
    """Take the options that stand before a word."""
