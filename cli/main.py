"""`waybill`: one command, each of its words in a module of its own."""

import typer

from cli import (
    compare,
    credentials,
    credit,
    keys,
    ledger,
    listen,
    route,
    settings,
    submit,
    usage,
    webhooks,
    workspace_data,
)
from cli.audit import audit
from cli.batch import command as batch
from cli.catalog import command as catalog
from cli.catalog import models
from cli.demo import command as demo
from cli.doctor import command as doctor
from cli.jobs import command as jobs
from cli.people import users_, workspaces_
from cli.providers import command as providers
from cli.run import command as run
from cli.start import serve, up

app = typer.Typer(
    name="waybill",
    help="A self-hosted broker for LLM completions. Start everything here with `waybill up`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(up.up)
app.command()(demo.demo)
app.command()(doctor.doctor)
app.command()(settings.settings)
app.command()(submit.submit)
app.command()(route.route)
app.command()(run.run)
app.command()(compare.compare)
app.command()(listen.listen)
app.command()(usage.usage)
app.add_typer(jobs.jobs, name="jobs")
app.add_typer(batch.batch, name="batch")
app.add_typer(keys.keys, name="keys")
app.add_typer(users_, name="users")
app.add_typer(workspaces_, name="workspaces")
workspaces_.command()(workspace_data.export)
workspaces_.command()(workspace_data.forget)
app.command()(audit)
app.add_typer(credentials.credentials, name="credentials")
app.add_typer(credit.credits_, name="credits")
app.add_typer(ledger.ledger_, name="ledger")
app.add_typer(models.models, name="models")
app.add_typer(catalog.catalog, name="catalog")
app.add_typer(providers.providers, name="providers")
app.add_typer(webhooks.webhooks, name="webhooks")
app.command()(serve.api)
app.command()(serve.worker)
app.command()(serve.dispatcher)
app.command()(serve.flower)
app.command()(serve.migrate)
app.command()(serve.simulate)
