"""What a message does. Task bodies hand over and wait; the work is in `execution`."""

from collections.abc import Sequence
from typing import Any

from celery import shared_task

from broker.queues import RUN_JOBS_TASK, SEND_DELIVERIES_TASK


@shared_task(bind=True, name=RUN_JOBS_TASK)  # type: ignore[untyped-decorator]
def run_jobs(task: Any, job_ids: Sequence[str]) -> None:
    """Run a bundle of jobs from one provider's queue."""
    from workers.runtime.app import runtime  # noqa: PLC0415  # the app imports this module

    runtime.run_bundle(task.request.delivery_info["routing_key"], job_ids)


@shared_task(name=SEND_DELIVERIES_TASK)  # type: ignore[untyped-decorator]
def send_deliveries(delivery_ids: Sequence[str]) -> None:
    """Begin a bundle of webhook deliveries."""
    from workers.runtime.app import runtime  # noqa: PLC0415  # the app imports this module

    runtime.send_deliveries(delivery_ids)
