"""The sending side of the message transport: the only module of the core that knows Celery.

A message is a hint. It is sent after the commit, by a thread that bundles whatever waits for the
same queue (publishing blocks, and costs about a millisecond however many ids it carries). When the
transport does not answer, the ids are kept and tried again; should this process die meanwhile, the
dispatcher publishes what nobody claimed.
"""

import queue
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import structlog
from celery import Celery

from broker.queues import (
    BUNDLE_SIZE,
    DELIVERIES_QUEUE,
    TRANSPORT_OPTIONS,
    Lane,
    queue_name,
    task_of,
)

QUEUE_TYPE = "quorum"  # of RabbitMQ's queues; other transports have one type only
RETRY_SECONDS = 0.5
KEPT_IDS = 100_000  # beyond this the dispatcher has to do it

log = structlog.get_logger()


class CeleryPublisher:
    """Announces jobs as Celery messages, bundled."""

    def __init__(self, transport_url: str) -> None:
        self._app = sending_app(transport_url)
        self._waiting: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def publish(self, provider: str, lane: str, job_ids: Sequence[str]) -> None:
        """Announce jobs on their queue. Never blocks, never fails."""
        name = queue_name(provider, Lane(lane))
        for job_id in job_ids:
            self._waiting.put((name, job_id))

    def publish_deliveries(self, delivery_ids: Sequence[str]) -> None:
        """Announce webhook deliveries. Never blocks, never fails."""
        for delivery_id in delivery_ids:
            self._waiting.put((DELIVERIES_QUEUE, delivery_id))

    def check(self) -> None:
        """Reach the transport, or raise what keeps us from it. Blocks a few seconds at most."""
        with self._app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)

    def close(self) -> None:
        """Send what waits (one try), then stop."""
        self._waiting.put(None)
        self._thread.join(timeout=5)
        self._app.close()

    def _run(self) -> None:
        kept: dict[str, list[str]] = {}
        closing = threading.Event()
        while not closing.is_set():
            for name, job_id in self._take(closing, patience=RETRY_SECONDS if kept else None):
                kept.setdefault(name, []).append(job_id)
            kept = self._send(kept)

    def _take(self, closing: threading.Event, patience: float | None) -> Iterator[tuple[str, str]]:
        """Yield what waits, at least one if there is no reason to hurry."""
        timeout = patience
        while True:
            try:
                item = self._waiting.get(timeout=timeout)
            except queue.Empty:
                return
            if item is None:
                closing.set()
                return
            yield item
            timeout = 0

    def _send(self, ready: dict[str, list[str]]) -> dict[str, list[str]]:
        """Send every queue's ids in bundles; return what could not be sent."""
        unsent: dict[str, list[str]] = defaultdict(list)
        for name, job_ids in ready.items():
            for bundle in _bundles(job_ids):
                if not self._send_bundle(name, bundle):
                    unsent[name].extend(bundle)
        return {name: ids[:KEPT_IDS] for name, ids in unsent.items()}

    def _send_bundle(self, name: str, job_ids: Sequence[str]) -> bool:
        try:
            self._app.send_task(
                task_of(name), args=(list(job_ids),), queue=name, retry=False, ignore_result=True
            )
        except Exception as error:  # noqa: BLE001  # whatever a transport may raise
            log.warning("publisher.transport_down", queue=name, error=str(error))
            return False
        return True


def sending_app(transport_url: str) -> Celery:
    """Return a Celery application that can only send."""
    app = Celery("waybill", broker=transport_url, set_as_current=False)
    app.conf.update(
        common_settings(),
        broker_transport_options={**TRANSPORT_OPTIONS, "max_retries": 0},  # we try again ourselves
    )
    return app


def common_settings() -> dict[str, Any]:
    """Celery settings that the sending and the consuming side must share.

    A queue that is not known yet is declared on first use, the same way on both sides (on RabbitMQ
    as a quorum queue).
    """
    return {
        "broker_transport_options": dict(TRANSPORT_OPTIONS),
        "broker_connection_retry_on_startup": True,
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_create_missing_queues": True,
        "task_default_queue_type": QUEUE_TYPE,
        "task_create_missing_queue_type": QUEUE_TYPE,
        "task_serializer": "json",
        "accept_content": ["json"],
        "enable_utc": True,
    }


def _bundles(job_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(job_ids), BUNDLE_SIZE):
        yield job_ids[start : start + BUNDLE_SIZE]
