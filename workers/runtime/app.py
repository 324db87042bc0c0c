"""The Celery application of a worker: one process, a pool of threads around one asyncio loop.

Run it with `waybill worker`. The settings follow one rule: the database is the truth, so messages
are acknowledged late, results are off, and nothing is ever delayed in the transport. Task bodies
hand over and wait; the work is in `workers.attempt.execution`.
"""

import logging
import warnings
from collections.abc import Sequence
from typing import Any

from celery import Celery, shared_task
from celery.platforms import SecurityWarning
from celery.signals import worker_init, worker_shutdown, worker_shutting_down

from broker import settings
from broker.dispatch.publisher import common_settings
from broker.logs import configure_logging
from broker.queues import RUN_JOBS_TASK, SEND_DELIVERIES_TASK, TRANSPORT_OPTIONS
from workers.runtime.consumer import Consumer, new_consumer_id, transport_options
from workers.runtime.job_loop import Runtime


def create_app(config: settings.Settings) -> Celery:
    """Return the consuming application; `waybill worker` says which queues it takes from."""
    app = Celery("waybill", broker=config.transport)
    app.conf.update(
        common_settings(),
        # confirms would be awaited on the connection that the consumer's own thread reads
        broker_transport_options={**TRANSPORT_OPTIONS, "confirm_publish": False},
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        task_acks_on_failure_or_timeout=True,
        worker_prefetch_multiplier=1,
        worker_pool="threads",
        worker_consumer="workers.runtime.consumer:Consumer",
        worker_concurrency=config.worker_concurrency,
        worker_send_task_events=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_remote_control=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,  # a server whose disk is full refuses; it will have room
    )
    return app


config = settings.load()
app = create_app(config)
runtime = Runtime(config, dispatch=config.dispatch, is_consuming=Consumer.is_consuming)
Consumer.wanted = runtime.queues


# a refusal that is tried again anyway needs no traceback
logging.getLogger("kombu.transport.redis").setLevel(logging.ERROR)


def _shorten(record: logging.LogRecord) -> bool:
    """Drop the traceback of an acknowledgement that was lost with its connection."""
    if str(record.msg).startswith("Couldn't ack"):
        record.exc_info = None
    return True


logging.getLogger("celery.worker.request").addFilter(_shorten)
# nothing is ever delayed in the transport: RabbitMQ's lack of delayed direct exchanges is no news
logging.getLogger("kombu.transport.native_delayed_delivery").setLevel(logging.ERROR)
# the payloads are JSON, so running as root (in a container, say) is no danger to warn of
warnings.simplefilter("ignore", SecurityWarning)


@worker_init.connect  # type: ignore[untyped-decorator]
def _start(**_: Any) -> None:
    configure_logging(logging.INFO)
    Consumer.consumer_id = new_consumer_id()
    app.conf.broker_transport_options |= transport_options(Consumer.consumer_id)
    runtime.start()


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _drain(**_: Any) -> None:
    runtime.drain()


@worker_shutdown.connect  # type: ignore[untyped-decorator]
def _stop(**_: Any) -> None:
    runtime.stop()


@shared_task(bind=True, name=RUN_JOBS_TASK)  # type: ignore[untyped-decorator]
def run_jobs(task: Any, job_ids: Sequence[str]) -> None:
    """Run a bundle of jobs from one provider's queue."""
    runtime.run_bundle(task.request.delivery_info["routing_key"], job_ids)


@shared_task(name=SEND_DELIVERIES_TASK)  # type: ignore[untyped-decorator]
def send_deliveries(delivery_ids: Sequence[str]) -> None:
    """Begin a bundle of webhook deliveries."""
    runtime.send_deliveries(delivery_ids)
