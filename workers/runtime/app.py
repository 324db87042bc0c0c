"""The Celery application of a worker: Celery's control and events around one asyncio loop.

Run it with `waybill worker`. The loop takes the messages (`workers.runtime.receiving`), so that the
tasks below have no bodies: they are the names under which monitors know the messages.
"""

import logging
import warnings
from collections.abc import Sequence
from typing import Any

from celery import Celery, shared_task
from celery.platforms import SecurityWarning
from celery.signals import worker_init, worker_shutdown, worker_shutting_down
from celery.utils.nodenames import default_nodename, host_format

from broker import settings
from broker.logs import configure_logging
from broker.queues import RUN_JOBS_TASK, SEND_DELIVERIES_TASK
from workers.runtime.consumer import Consumer, QueueView
from workers.runtime.job_loop import Runtime

CONNECTION_OPTIONS: dict[str, object] = {
    "socket_timeout": 30,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 25,
    "priority_steps": [0],  # one list in Redis for each queue, as Flower counts them
}


def create_app(config: settings.Settings) -> Celery:
    """Return the consuming application; `waybill worker` says which queues it takes from."""
    app = Celery("waybill", broker=config.transport)
    app.conf.update(
        broker_transport_options=dict(CONNECTION_OPTIONS),
        broker_connection_retry_on_startup=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        enable_utc=True,
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
app.amqp.Consumer = QueueView
runtime = Runtime(config, dispatch=config.dispatch)
QueueView.source = runtime
Consumer.tasks = runtime.tasks


# a refusal that is tried again anyway needs no traceback
logging.getLogger("kombu.transport.redis").setLevel(logging.ERROR)
# nothing is ever delayed in the transport: RabbitMQ's lack of delayed direct exchanges is no news
logging.getLogger("kombu.transport.native_delayed_delivery").setLevel(logging.ERROR)
# the payloads are JSON, so running as root (in a container, say) is no danger to warn of
warnings.simplefilter("ignore", SecurityWarning)


def run_worker(node: str, queues: Sequence[str]) -> int:
    """Run a worker until it is stopped. Return its exit code.

    `node` is Celery's name for it, in which `%h` is the host. The command `celery worker` would do
    the same, and imports every extension of Celery that is installed, Flower among them.
    """
    worker = app.Worker(
        hostname=host_format(default_nodename(node)),
        queues=list(queues),
        loglevel="WARNING",
        task_events=True,
        without_mingle=True,
        without_gossip=True,
        quiet=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


@worker_init.connect  # type: ignore[untyped-decorator]
def _start(**_: Any) -> None:
    configure_logging(logging.INFO)
    runtime.start()


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _drain(**_: Any) -> None:
    runtime.drain()


@worker_shutdown.connect  # type: ignore[untyped-decorator]
def _stop(**_: Any) -> None:
    runtime.stop()


@shared_task(name=RUN_JOBS_TASK)  # type: ignore[untyped-decorator]
def run_jobs(job_ids: Sequence[str]) -> None:
    """Name the messages with jobs of one provider's queue; the loop runs them."""


@shared_task(name=SEND_DELIVERIES_TASK)  # type: ignore[untyped-decorator]
def send_deliveries(delivery_ids: Sequence[str]) -> None:
    """Name the messages with webhook deliveries; the loop sends them."""
