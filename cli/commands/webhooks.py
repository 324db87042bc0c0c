"""`waybill webhooks`: endpoints, and what became of deliveries."""

import sys
import time
from typing import Annotated

import typer
from rich.console import Console

from broker.completion import Json
from broker.webhooks import DeliveryState
from cli.client.client import connected
from cli.messages import complain
from cli.output import Table, print_json

PIPE_WIDTH = 200

webhooks = typer.Typer(
    help="Where events are sent, and what became of each delivery.", no_args_is_help=True
)

AsJson = Annotated[bool, typer.Option("--json", help="Print the raw object.")]
Endpoint = Annotated[str | None, typer.Option(help="Only of this endpoint (whep_…).")]


@webhooks.command()
def endpoints(as_json: AsJson = False) -> None:
    """List the endpoints, oldest first."""
    with connected() as client:
        page = client.get("/webhooks/endpoints")
    if as_json:
        print_json(page)
        return
    table = _table("id", "URL", "events", "payload", "status")
    for endpoint in page["data"]:
        state = endpoint["disabled_reason"] or "disabled" if endpoint["disabled"] else "enabled"
        events = ", ".join(endpoint["events"]) or "all"
        table.add_row(endpoint["id"], endpoint["url"], events, endpoint["payload"], state)
    _print(table)


@webhooks.command()
def create(
    url: Annotated[str, typer.Argument(help="Where events are sent: https://…")],
    event: Annotated[
        list[str] | None,
        typer.Option(help="Event type, e.g. job.failed or job.*; may be repeated."),
    ] = None,
    full: Annotated[bool, typer.Option(help="Send whole jobs, not only ids and states.")] = False,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make an endpoint and print its secret: the only time it can be read."""
    wanted: Json = {"url": url, "events": event or [], "description": description}
    wanted["payload"] = "full" if full else "thin"
    with connected() as client:
        made = client.post("/webhooks/endpoints", wanted)
    if as_json:
        print_json(made)
        return
    print(made["secret"])
    complain(f"{made['id']} is made; its secret above is shown this once")


@webhooks.command()
def deliveries(
    endpoint: Endpoint = None,
    status: Annotated[DeliveryState | None, typer.Option(help="Only with this status.")] = None,
    event: Annotated[str | None, typer.Option(help="Only of this event type.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only about this job (job_…).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 20,
    after: Annotated[str | None, typer.Option(help="The last id of the page before.")] = None,
    as_json: AsJson = False,
) -> None:
    """List deliveries, newest first."""
    wanted = {"endpoint_id": endpoint, "status": status and status.value, "event_type": event}
    wanted |= {"subject_id": subject, "after": after, "limit": str(limit)}
    with connected() as client:
        params = {name: value for name, value in wanted.items() if value}
        page = client.get("/webhooks/deliveries", params)
    if as_json:
        print_json(page)
        return
    _print(_listing(page))
    if page["has_more"]:
        complain(f"there are more: --after {page['last_id']}")


@webhooks.command()
def redeliver(
    delivery_id: Annotated[str, typer.Argument(help="Delivery id (dlv_…).")],
    as_json: AsJson = False,
) -> None:
    """Send a delivery again, now, under the same webhook-id."""
    with connected() as client:
        delivery = client.post(f"/webhooks/deliveries/{delivery_id}/redeliver")
    if as_json:
        print_json(delivery)
        return
    print(f"{delivery_id} {delivery['status']}")


@webhooks.command()
def replay(
    endpoint: Endpoint = None,
    since: Annotated[
        float | None, typer.Option(help="Created then or later; Unix seconds.")
    ] = None,
    until: Annotated[float | None, typer.Option(help="Created before; Unix seconds.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="What was delivered, too, not only what is missing.")
    ] = False,
) -> None:
    """Send again what never arrived."""
    asked = {"endpoint_id": endpoint, "since": since, "until": until}
    body: Json = {name: value for name, value in asked.items() if value is not None}
    with connected() as client:
        told = client.post("/webhooks/deliveries/replay", body | {"only_missing": not everything})
    print(f"{told['deliveries']} deliveries are sent again")


def _listing(page: Json) -> Table:
    table = _table("id", "event", "about", "to", "status", "tries", "created")
    for delivery in page["data"]:
        table.add_row(
            delivery["id"],
            delivery["event_type"],
            delivery["subject_id"],
            delivery["endpoint_id"] or delivery["url"],
            delivery["status"],
            str(delivery["attempt"]),
            time.strftime("%m-%d %H:%M:%S", time.localtime(delivery["created_at"])),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0)
    return table


def _print(table: Table) -> None:
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)
