"""`waybill webhooks`: endpoints and deliveries. `waybill listen`: a receiver that verifies."""

import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated

import orjson
import typer
from standardwebhooks import Webhook, WebhookVerificationError
from standardwebhooks.webhooks import EmptyWebhookSecretError

from broker.completion import Json
from broker.webhooks import DeliveryState
from cli.client.client import connected
from cli.messages import print_error
from cli.output import Table, make_list, print_json, print_table

webhooks = typer.Typer(
    help="List and create webhook endpoints; list and repeat deliveries.", no_args_is_help=True
)

AsJson = Annotated[bool, typer.Option("--json", help="Print the raw object.")]
Endpoint = Annotated[str | None, typer.Option(help="Only deliveries of this endpoint (whep_…).")]


@webhooks.command()
def endpoints(as_json: AsJson = False) -> None:
    """List the endpoints, oldest first."""
    with connected() as client:
        page = client.get("/webhooks/endpoints")
    if as_json:
        print_json(page)
        return
    table = make_list("id", "URL", "events", "payload", "status")
    for endpoint in page["data"]:
        state = endpoint["disabled_reason"] or "disabled" if endpoint["disabled"] else "enabled"
        events = ", ".join(endpoint["events"]) or "all"
        table.add_row(endpoint["id"], endpoint["url"], events, endpoint["payload"], state)
    print_table(table)


@webhooks.command()
def create(
    url: Annotated[str, typer.Argument(help="URL of the receiver: https://…")],
    event: Annotated[
        list[str] | None,
        typer.Option(help="Event type, e.g. job.failed or job.*; may be repeated."),
    ] = None,
    full: Annotated[bool, typer.Option(help="Send whole jobs instead of ids and states.")] = False,
    description: Annotated[str, typer.Option(help="A description.")] = "",
    as_json: AsJson = False,
) -> None:
    """Create an endpoint and print its secret; it is shown only this once."""
    fields: Json = {"url": url, "events": event or [], "description": description}
    fields["payload"] = "full" if full else "thin"
    with connected() as client:
        made = client.post("/webhooks/endpoints", fields)
    if as_json:
        print_json(made)
        return
    print(made["secret"])
    print_error(f"{made['id']} is created; its secret above is shown this once")


@webhooks.command()
def deliveries(
    endpoint: Endpoint = None,
    status: Annotated[DeliveryState | None, typer.Option(help="Only with this status.")] = None,
    event: Annotated[str | None, typer.Option(help="Only of this event type.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only about this job (job_…).")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=100, help="Number of rows.")] = 20,
    after: Annotated[str | None, typer.Option(help="The last id of the page before.")] = None,
    as_json: AsJson = False,
) -> None:
    """List deliveries, newest first."""
    fields = {"endpoint_id": endpoint, "status": status and status.value, "event_type": event}
    fields |= {"subject_id": subject, "after": after, "limit": str(limit)}
    with connected() as client:
        params = {name: value for name, value in fields.items() if value}
        page = client.get("/webhooks/deliveries", params)
    if as_json:
        print_json(page)
        return
    print_table(_make_table(page))
    if page["has_more"]:
        print_error(f"there are more: --after {page['last_id']}")


@webhooks.command()
def redeliver(
    delivery_id: Annotated[str, typer.Argument(help="Delivery id (dlv_…).")],
    as_json: AsJson = False,
) -> None:
    """Send a delivery again now, with the same webhook-id."""
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
        float | None, typer.Option(metavar="TIME", help="Created then or later; Unix seconds.")
    ] = None,
    until: Annotated[
        float | None, typer.Option(metavar="TIME", help="Created before; Unix seconds.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Repeat successful deliveries too.")
    ] = False,
) -> None:
    """Send failed deliveries again."""
    fields = {"endpoint_id": endpoint, "since": since, "until": until}
    body: Json = {name: value for name, value in fields.items() if value is not None}
    with connected() as client:
        replayed = client.post(
            "/webhooks/deliveries/replay", body | {"only_missing": not everything}
        )
    print(f"{replayed['deliveries']} deliveries are sent again")


def _make_table(page: Json) -> Table:
    table = make_list("id", "event", "about", "to", "status", "tries", "created")
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


MAX_BYTES = 64_000_000
PORT = 9200
NEW, REPEATED, REFUSED = "", "again: ", "NOT VERIFIED: "


def listen(
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Port to listen on.")
    ] = PORT,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    secret: Annotated[
        list[str] | None,
        typer.Option(help="whsec_…; may be repeated. Default: the workspace's, from WAYBILL_URL."),
    ] = None,
) -> None:
    """Receive webhooks on this machine, verify and print them. Ctrl-C ends it."""
    try:
        inbox = Inbox(secret or [_workspace_secret()])
    except (ValueError, EmptyWebhookSecretError) as error:
        print_error(f"this is not a whsec_ secret: {error}")
        raise typer.Exit(1) from None
    try:
        server = make_receiver(host, port, inbox)
    except OSError as error:
        print_error(f"cannot listen on {host}:{port}: {error.strerror or error}")
        raise typer.Exit(1) from None
    print_error(f"listening on http://{host}:{server.server_port}/ (Ctrl-C ends it)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


class Inbox:
    """Verifies the signatures of deliveries with these secrets, and recognizes repeated ones."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._verifiers = [Webhook(secret) for secret in secrets]
        self._seen: set[str] = set()

    def verify(self, headers: Mapping[str, str], body: bytes) -> tuple[bool, str]:
        """Return whether a delivery is genuine, and a line about it."""
        name = headers.get("webhook-id", "(no webhook-id)")
        if not name.isprintable():  # anyone can send here, and a terminal obeys escape sequences
            return False, f"{REFUSED}(a webhook-id with control characters)"
        reason = self._find_reason(headers, body)
        if reason is not None:
            return False, f"{REFUSED}{name} {reason}"
        event = orjson.loads(body)
        mark = REPEATED if name in self._seen else NEW
        self._seen.add(name)
        content = orjson.dumps(event.get("data")).decode()
        return True, f"{mark}{event.get('type')} {name} {content}"

    def _find_reason(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """Return the reason why no secret verifies this, or None where one does."""
        reason = "there is no secret"
        for verifier in self._verifiers:
            try:
                verifier.verify(body, dict(headers))
            except WebhookVerificationError as error:
                reason = str(error)
            except ValueError:  # raised by the library for signatures of an unknown form
                reason = "the signature cannot be read"
            else:
                return None
        return reason


def make_receiver(host: str, port: int, inbox: Inbox) -> ThreadingHTTPServer:
    """Return a server that prints the lines of its inbox, and answers 204 or 400."""

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = self.headers.get("content-length", "")
            if not length.isdecimal() or int(length) > MAX_BYTES:
                self.close_connection = True
                self._answer(413)
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            is_genuine, line = inbox.verify(headers, self.rfile.read(int(length)))
            print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
            self._answer(204 if is_genuine else 400)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return ThreadingHTTPServer((host, port), Receiver)


def _workspace_secret() -> str:
    with connected() as client:
        return str(client.get("/webhooks/secret")["secret"])
