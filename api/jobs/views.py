"""Jobs in answers."""

import asyncio

import orjson

from api.core import media
from api.core.services import Services
from api.webhooks import views
from broker import webhooks
from broker.completion import Json
from broker.jobs import reports
from broker.jobs.rows import JobRow, ListedJobRow
from broker.jobs.states import INACTIVE
from broker.jobs.views import job, job_summary
from broker.money import usd
from broker.requests.operations import PICTURES, Operation

MAX_DELIVERIES = 100
"""The most deliveries inside a job; /webhooks/deliveries lists all."""

WITH_MEDIA = frozenset(each.value for each in (*PICTURES, Operation.SPEECH))


def render_listed_job(row: ListedJobRow) -> Json:
    """Render a job in a list. Its cost is in US dollars, or None while nothing was charged."""
    cost = None if row.cost_nanos is None else usd(row.cost_nanos)
    return job_summary(row.job) | {"cost": cost}


async def render_job(services: Services, report: reports.JobReport) -> Json:
    """Render a job, with links to the files of its answer."""
    body = job(report) | await _render_webhooks(services, report.job)
    if report.job.operation in WITH_MEDIA and report.payload.response is not None:
        answer: Json = orjson.loads(report.payload.response)
        body["response"] = await asyncio.to_thread(media.add_media, services, answer)
    return body


async def _render_webhooks(services: Services, row: JobRow) -> Json:
    """Render the job's own webhook and, after its end, all deliveries about it."""
    shown: Json = {} if row.webhook is None else {"webhook": orjson.Fragment(row.webhook)}
    if row.state in INACTIVE:
        rows = await services.database.read(
            webhooks.list_deliveries,
            row.workspace_id,
            MAX_DELIVERIES,
            None,
            webhooks.DeliveryFilter(subject_id=row.id),
        )
        shown["deliveries"] = [views.render_job_delivery(each) for each in reversed(rows)]
    return shown
