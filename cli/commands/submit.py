"""`waybill submit`: one prompt as a job."""

import sys
import uuid
from typing import Annotated

import orjson
import typer

from broker.completion import Json
from broker.enums import JobState
from cli.client.client import Client, connected
from cli.client.event_log import LogEvent, follow
from cli.messages import print_error
from cli.output import answer_text, print_json, printable


def submit(
    prompt: Annotated[str, typer.Argument(help="The prompt; - reads it from standard input.")],
    model: Annotated[
        str, typer.Option("-m", "--model", envvar="WAYBILL_MODEL", help="Model slug.")
    ],
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the answer and print it.")] = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="Print the answer while it is generated.")
    ] = False,
    system: Annotated[str | None, typer.Option(help="System message.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Output token limit.")
    ] = None,
    fallback: Annotated[
        list[str] | None, typer.Option(help="Model to try next; may be repeated.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the job (with --stream: its events) as JSON.")
    ] = False,
) -> None:
    """Submit a prompt as a durable job, and fetch its answer at any time."""
    body = chat_body(
        sys.stdin.read() if prompt == "-" else prompt,
        model,
        system=system,
        max_tokens=max_tokens,
        fallbacks=fallback or [],
        stream=stream,
    )
    with connected() as client:
        job = client.post("/jobs", {"body": body}, idempotency_key=uuid.uuid4().hex)
        try:
            if stream:
                _print_stream(client, job["id"], as_json=as_json)
            elif wait:
                _print_answer(client, job["id"], as_json=as_json)
            else:
                _print_receipt(job, as_json=as_json)
        except KeyboardInterrupt:
            print_error(f"the job continues: waybill jobs watch {job['id']}")
            raise typer.Exit(130) from None


def chat_body(
    prompt: str,
    model: str,
    *,
    system: str | None,
    max_tokens: int | None,
    fallbacks: list[str],
    stream: bool,
) -> Json:
    """Return the chat completion that the command's options describe."""
    messages = [{"role": "user", "content": prompt}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    body: Json = {"model": model, "messages": messages}
    if fallbacks:
        body["models"] = fallbacks
    if max_tokens is not None:
        body["max_tokens"] = max_tokens
    if stream:
        body["stream"] = True
    return body


def _print_receipt(job: Json, *, as_json: bool) -> None:
    if as_json:
        print_json(job)
        return
    print(job["id"])
    print(f"follow it:  waybill jobs watch {job['id']}", file=sys.stderr)
    print(f"look at it: waybill jobs show {job['id']}", file=sys.stderr)


def _print_answer(client: Client, job_id: str, *, as_json: bool) -> None:
    end = None
    for event in follow(client, job_id, on_gap=_print_gap):
        end = event
    job = client.get(f"/jobs/{job_id}")
    if as_json:
        print_json(job)
    elif job.get("response"):
        print(answer_text(job["response"]))
    _exit_unless_completed(end)


def _print_stream(client: Client, job_id: str, *, as_json: bool) -> None:
    shown, end = False, None
    for event in follow(client, job_id, on_gap=_print_gap):
        end = event
        if as_json:
            line = {"id": event.number, "event": event.type, "data": event.data}
            print(orjson.dumps(line).decode(), flush=True)
        elif event.type == "chunk":
            shown = shown or bool(event.text)
            print(printable(event.text, lines=True), end="", flush=True)
        elif event.type == "retrying" and shown:
            print("\n", flush=True)
            print_error("the attempt failed; the answer begins again")
            shown = False
    if not as_json:
        print()
    _exit_unless_completed(end)


def _print_gap(reason: str) -> None:
    print_error(f"{reason}; continuing from the event log")


def _exit_unless_completed(end: LogEvent | None) -> None:
    if end is None or end.type == JobState.COMPLETED:
        return
    message = (end.data.get("error") or {}).get("message") or "no answer"
    print_error(f"job {end.data.get('job_id')} {end.type}: {message}")
    raise typer.Exit(1)
