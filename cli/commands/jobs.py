"""`waybill jobs`: list, show, cancel and watch."""

import time
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Annotated

import orjson
import typer
from rich.console import RenderableType
from rich.text import Text

from broker.completion import Json
from cli.client.client import connected
from cli.client.event_log import LogEvent, follow
from cli.messages import print_error
from cli.output import Table, answer_text, make_list, open_console, print_json, printable

jobs = typer.Typer(help="List, show, cancel and follow jobs.", no_args_is_help=True)


AsJson = Annotated[bool, typer.Option("--json", help="Print the raw object.")]
JobId = Annotated[str, typer.Argument(help="Job id (job_…).")]


class Status(StrEnum):
    """The states to list by."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    NEEDS_REVIEW = "needs_review"


@jobs.command("list")
def list_jobs(
    status: Annotated[Status | None, typer.Option(help="Only jobs with this status.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=100, help="Number of rows.")] = 20,
    after: Annotated[str | None, typer.Option(help="The last id of the page before.")] = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    params = {"limit": limit, "status": status and status.value, "after": after}
    with connected() as client:
        page = client.get("/jobs", {name: value for name, value in params.items() if value})
    if as_json:
        print_json(page)
        return
    open_console().print(render_jobs(page["data"]))
    if page["has_more"]:
        print_error(f"there are more: --after {page['last_id']}")


@jobs.command()
def show(job_id: JobId, as_json: AsJson = False) -> None:
    """Show a job: its plan, its attempts and its result."""
    with connected() as client:
        job = client.get(f"/jobs/{job_id}")
    if as_json:
        print_json(job)
        return
    for part in render_job(job):
        open_console().print(part)


@jobs.command()
def cancel(job_id: JobId, as_json: AsJson = False) -> None:
    """Cancel a job. A running one stops as soon as its worker is notified."""
    with connected() as client:
        job = client.post(f"/jobs/{job_id}/cancel")
    if as_json:
        print_json(job)
    elif job["status"] == "running":
        print(f"{job_id} is running; its worker is notified to stop")
    else:
        print(f"{job_id} {job['status']}")


@jobs.command()
def watch(
    job_id: JobId,
    as_json: Annotated[bool, typer.Option("--json", help="Print events as JSON lines.")] = False,
) -> None:
    """Follow a job's event log from its beginning to its end."""
    console = open_console()
    with connected() as client:
        for event in follow(client, job_id, on_gap=print_error):
            if as_json:
                line = {"id": event.number, "event": event.type, "data": event.data}
                print(orjson.dumps(line).decode(), flush=True)
            elif event.type == "chunk":
                print(printable(event.text, lines=True), end="", flush=True)
            else:
                console.print(render_event(event))


COLOURS = {
    "completed": "green",
    "ok": "green",
    "running": "cyan",
    "queued": "blue",
    "scheduled": "blue",
    "cancelled": "yellow",
    "expired": "red",
    "failed": "red",
    "needs_review": "magenta",
}


def render_jobs(jobs: Iterable[Json]) -> Table:
    """Return a table with a row for each job."""
    table = make_list("id", "status", "model", "provider", "tries", "age", "USD")
    for job in jobs:
        table.add_row(
            job["id"],
            _state(job["status"]),
            job["model"],
            job["provider"],
            str(job["attempt"]),
            _age(job["created_at"]),
            dollars(job.get("cost")),
        )
    return table


def render_job(job: Json) -> Iterator[RenderableType]:
    """Yield the parts of one job's description."""
    yield _facts(job)
    yield Text("\nplan", style="bold")
    yield _plan(job["plan"])
    if job["attempts"]:
        yield Text("\nattempts", style="bold")
        yield _attempts(job["attempts"])
    if job.get("response"):
        yield Text("\nanswer", style="bold")
        yield Text(printable(answer_text(job["response"]), lines=True))
    if job.get("error"):
        yield Text("\nerror", style="bold red")
        yield Text(printable(str(job["error"].get("message")), lines=True))


def render_event(event: LogEvent) -> Text:
    """Return an event as one line."""
    data = event.data
    line = Text(f"{event.number:>4}  ", style="dim")
    line.append(event.type, COLOURS.get(event.type, "default"))
    if event.type == "started":
        line.append(f"  attempt {data['attempt']} at {data['provider']} ({data['model']})")
    elif event.type == "retrying":
        details = [data["outcome"], data.get("message")]  # a lost worker leaves no message
        line.append(f"  attempt {data['attempt']}: {printable(', '.join(filter(None, details)))}")
    elif data.get("error"):
        line.append(f"  {printable(str(data['error'].get('message')))}")
    elif data.get("response"):
        line.append(f"\n{printable(answer_text(data['response']), lines=True)}", "default")
    return line


def dollars(amount: float | None) -> str:
    return "" if amount is None else f"{amount:.6f}"


def _facts(job: Json) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    facts: dict[str, str | Text | None] = {
        "job": job["id"],
        "status": _state(job["status"]),
        "model": job["model"],
        "lane": job["lane"],
        "created": _local_time(job["created_at"]),
        "started": _local_time(job["started_at"]),
        "ended": _local_time(job["ended_at"]),
        "place in queue": None if job["queue_position"] is None else str(job["queue_position"]),
    }
    if job["usage"]:
        usage = job["usage"]
        facts["tokens"] = f"{usage['prompt_tokens']} in, {usage['completion_tokens']} out"
        facts["cost"] = f"{dollars(usage['cost'])} USD"
    facts |= {f"metadata.{name}": value for name, value in job["metadata"].items()}
    for name, value in facts.items():
        if value:
            table.add_row(Text(printable(name), style="dim"), value)
    return table


def _plan(places: Sequence[Json]) -> Table:
    table = make_list("", "provider", "model", "its name there", "why")
    for number, place in enumerate(places, start=1):
        table.add_row(
            str(number), place["provider"], place["model"], place["native_model"], place["reason"]
        )
    return table


def _attempts(attempts: Sequence[Json]) -> Table:
    table = make_list(
        "", "provider", "outcome", "status", "queued", "first token", "took", "message"
    )
    for attempt in attempts:
        status = attempt["http_status"]
        table.add_row(
            str(attempt["number"]),
            attempt["provider"],
            _state(attempt["outcome"] or "running"),
            "" if status is None else str(status),
            _ms(attempt["queued_ms"]),
            _ms(attempt["first_token_ms"]),
            _ms(attempt["duration_ms"]),
            attempt["error_message"] or "",
        )
    return table


def _state(name: str) -> Text:
    return Text(name, style=COLOURS.get(name, "yellow"))


def _ms(value: int | None) -> str:
    return "" if value is None else f"{value} ms"


def _age(created: int) -> str:
    """Return how long ago something was, in the unit that fits."""
    seconds = max(int(time.time()) - created, 0)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _local_time(seconds: int | None) -> str:
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
