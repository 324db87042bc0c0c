"""`waybill jobs`: list, show, cancel and watch."""

import sys
from enum import StrEnum
from typing import Annotated

import orjson
import typer
from rich.console import Console

from cli.client.client import connected
from cli.client.event_log import follow
from cli.commands import jobs as job_views
from cli.messages import complain
from cli.output import print_json, printable

jobs = typer.Typer(help="Look at jobs, cancel them, follow them.", no_args_is_help=True)

PIPE_WIDTH = 160

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


def _console() -> Console:
    """Return a console as wide as the terminal; what goes into a pipe is not cut."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)


@jobs.command("list")
def list_jobs(
    status: Annotated[Status | None, typer.Option(help="Only jobs with this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 20,
    after: Annotated[str | None, typer.Option(help="The last id of the page before.")] = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    wanted = {"limit": limit, "status": status and status.value, "after": after}
    with connected() as client:
        page = client.get("/jobs", {name: value for name, value in wanted.items() if value})
    if as_json:
        print_json(page)
        return
    _console().print(job_views.listing(page["data"]))
    if page["has_more"]:
        complain(f"there are more: --after {page['last_id']}")


@jobs.command()
def show(job_id: JobId, as_json: AsJson = False) -> None:
    """Show a job: its plan, its attempts, and what came of it."""
    with connected() as client:
        job = client.get(f"/jobs/{job_id}")
    if as_json:
        print_json(job)
        return
    for part in job_views.whole(job):
        _console().print(part)


@jobs.command()
def cancel(job_id: JobId, as_json: AsJson = False) -> None:
    """Call a job off. A running one stops as soon as its worker hears of it."""
    with connected() as client:
        job = client.post(f"/jobs/{job_id}/cancel")
    if as_json:
        print_json(job)
    elif job["status"] == "running":
        print(f"{job_id} is running; its worker has been told to stop")
    else:
        print(f"{job_id} {job['status']}")


@jobs.command()
def watch(
    job_id: JobId,
    as_json: Annotated[bool, typer.Option("--json", help="Print events as JSON lines.")] = False,
) -> None:
    """Follow a job's event log from its beginning to its end."""
    console = _console()
    with connected() as client:
        for event in follow(client, job_id, on_gap=complain):
            if as_json:
                line = {"id": event.number, "event": event.type, "data": event.data}
                print(orjson.dumps(line).decode(), flush=True)
            elif event.type == "chunk":
                print(printable(event.text, lines=True), end="", flush=True)
            else:
                console.print(job_views.event_line(event))
