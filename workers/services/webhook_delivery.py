"""Webhook deliveries: claim, sign, send and record them, in lanes of their receivers."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import OperationalError

from broker.clock import now_ms
from broker.storage.database import Database
from broker.webhooks import schedule
from broker.webhooks.claims import ClaimDelivery, ClaimedDelivery, ClaimNext, claim_many
from broker.webhooks.records import DeliveryEnding, record_many
from broker.webhooks.schedule import Delivered, DeliveryDecision, Interrupted
from workers.attempt.retry_until_stored import OUT_OF_SERVICE, retry_until_stored
from workers.services.webhook_request import HeaderSigner, ReceiverAnswer, WebhookClient

LEASE_MS = 60_000
MOST_LANES = 512  # in one worker process
INTERRUPTED = "The worker was shut down before the receiver had answered: it may have arrived."

Publish = Callable[[Sequence[str]], None]

log = structlog.get_logger()


@dataclass(slots=True)
class Deliverer:
    """The deliveries of one worker process. Each of its lanes sends to one receiver."""

    owner: str
    database: Database
    signer: HeaderSigner
    client: WebhookClient
    republish: Publish  # for deliveries that arrive during the shutdown
    shutdown_seconds: float  # time for running attempts to end during the shutdown
    clock: Callable[[], int] = now_ms
    _lanes: set["asyncio.Task[None]"] = field(default_factory=set)
    _free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_LANES))
    _until: float | None = None  # once draining: when running attempts are stopped

    async def send(self, delivery_ids: Sequence[str]) -> None:
        """Begin these deliveries. Return when each has a lane or was published again."""
        await asyncio.gather(*[self._begin(delivery_id) for delivery_id in delivery_ids])

    def drain(self) -> None:
        """Begin no more deliveries."""
        self._until = time.monotonic() + self.shutdown_seconds

    async def aclose(self) -> None:
        """Wait a while for running attempts, return the others to the database, and disconnect."""
        if self._until is None:
            self.drain()
        assert self._until is not None
        if self._lanes:
            left = max(self._until - time.monotonic(), 0)
            _, late = await asyncio.wait(self._lanes, timeout=left)
            for lane in late:
                lane.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self.client.aclose()

    async def _begin(self, delivery_id: str) -> None:
        await self._free.acquire()
        if self._until is not None:
            self._free.release()
            self.republish([delivery_id])
            return
        lane = asyncio.create_task(self._lane(delivery_id))
        self._lanes.add(lane)
        lane.add_done_callback(self._leave)

    def _leave(self, lane: "asyncio.Task[None]") -> None:
        self._lanes.discard(lane)
        self._free.release()

    async def _lane(self, delivery_id: str) -> None:
        """Send this delivery, and then the next ones that are due to its receiver.

        The lane ends when one fails, or when others wait for a lane. The dispatcher publishes the
        rest.
        """
        try:
            delivery = await self._claim(delivery_id)
            while delivery is not None:
                delivery = await self.deliver(delivery)
        except OUT_OF_SERVICE as error:
            log.warning("delivery.postponed", error=str(error))
        except Exception:  # what was claimed is rescued when its lease ends
            log.exception("delivery.crashed", delivery=delivery_id)

    async def _claim(self, delivery_id: str) -> ClaimedDelivery | None:
        claim = ClaimDelivery(delivery_id, self.owner, self.clock(), LEASE_MS)
        return await self.database.write_grouped(claim_many, claim)

    async def deliver(self, delivery: ClaimedDelivery) -> ClaimedDelivery | None:
        """Make one attempt and record it. Return the next delivery of the lane."""
        started = self.clock()
        decision: DeliveryDecision
        try:
            answer = await self._post(delivery)
            decision = self._decide(delivery, answer)
        except asyncio.CancelledError:
            answer, decision = ReceiverAnswer(error=INTERRUPTED), Interrupted()
        return await self._record(delivery, started, answer, decision)

    async def _post(self, delivery: ClaimedDelivery) -> ReceiverAnswer:
        headers = await self.signer.headers(delivery, self.clock())
        return await self.client.post(delivery.url, delivery.payload, headers)

    def _decide(self, delivery: ClaimedDelivery, answer: ReceiverAnswer) -> DeliveryDecision:
        return schedule.decide(
            answer.counted_status,
            failures=delivery.failures,
            now=self.clock(),
            jitter=random.random(),  # noqa: S311  # jitter
            retry_after=answer.retry_after,
        )

    async def _record(
        self,
        delivery: ClaimedDelivery,
        started: int,
        answer: ReceiverAnswer,
        decision: DeliveryDecision,
    ) -> ClaimedDelivery | None:
        """Write the result of an attempt; try again while the database does not answer."""
        now = self.clock()
        next_claim = ClaimNext(delivery.receiver, self.owner, now, LEASE_MS)
        ending = DeliveryEnding(
            delivery,
            started,
            now,
            decision,
            status=answer.status,
            error=answer.error,
            body=answer.body,
            next_claim=next_claim if self._until is None and not self._free.locked() else None,
        )
        recorded = await retry_until_stored(
            lambda: self.database.write_grouped(record_many, ending),
            OperationalError,
            seconds=LEASE_MS / 1000,
        )
        _publish(ending, is_current=recorded.is_current)
        return recorded.next_delivery


def _publish(ending: DeliveryEnding, *, is_current: bool) -> None:
    delivery = ending.delivery
    if not is_current:
        log.warning("delivery.superseded", delivery=delivery.id, attempt=delivery.attempt)
    elif not isinstance(ending.decision, Delivered):
        log.info(
            "delivery.failed",
            delivery=delivery.id,
            receiver=delivery.receiver,
            attempt=delivery.attempt,
            status=ending.status,
            error=ending.error,
            next=type(ending.decision).__name__,
        )
