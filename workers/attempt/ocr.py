"""OCR for the attempts of a job: by its provider or on this machine, and paid once."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from broker.clock import now_ms
from broker.completion import AttemptOutcome, CompletionRequest, Document, ErrorType, Failure, Json
from broker.lifecycle import ClaimedJob, NewReading, ReadingKey, find_reading, store_reading
from broker.requests.plugins import Engine
from broker.routing import OcrOffer
from broker.settings import Settings
from broker.storage.database import Database
from workers.media import DocumentReader
from workers.media.formats import PDF, UnfitError
from workers.media.ocr import LocalOcr, Ocr, Recognition
from workers.operations.ocr import MistralOcr
from workers.provider_routes import ProviderRoute
from workers.upstream.answer_body import Deadlines, Stopwatch
from workers.upstream.assembly import Assembly
from workers.upstream.client import ProviderClient, call
from workers.upstream.provider_call import ProviderCall

TRIES = 3
PAUSE_SECONDS = 1.0  # before the second try; twice as long before the third
PASSING = frozenset(
    {
        *(ErrorType.RATE_LIMIT_EXCEEDED, ErrorType.PROVIDER_OVERLOADED, ErrorType.TIMEOUT),
        *(ErrorType.PROVIDER_UNAVAILABLE, ErrorType.SERVER),
    }
)
"""Failures after which the same request may succeed."""


@dataclass(frozen=True, slots=True)
class OcrCalls:
    """Builds the OCR of jobs, with the connections of this process."""

    settings: Settings
    database: Database
    client: ProviderClient
    routes: Mapping[str, ProviderRoute]

    def build(
        self, job: ClaimedJob, reader: DocumentReader, languages: Sequence[str]
    ) -> "StoredOcr":
        """Return the OCR of a job: by the provider in its plan, else on this machine."""
        offer = job.plan.ocr
        if offer is None:
            engine = "/".join([Engine.LOCAL.value, *languages])
            return StoredOcr(self.database, job, engine, LocalOcr(reader, languages))
        return StoredOcr(
            self.database, job, f"{Engine.OCR.value}/{offer.native}", ProviderOcr(self, offer)
        )


@dataclass(frozen=True, slots=True)
class ProviderOcr:
    """OCR by the provider of an offer."""

    calls: OcrCalls
    offer: OcrOffer

    async def read_pages(self, content: bytes, indexes: Sequence[int]) -> Recognition:
        document = {"type": "document_url", "document_url": _data_uri(content, PDF)}
        return await self._read({"document": document, "pages": list(indexes)}, len(indexes))

    async def read_picture(self, content: bytes, mime: str) -> Recognition:
        document = {"type": "image_url", "image_url": _data_uri(content, mime)}
        return await self._read({"document": document}, 1)

    async def _read(self, body: Json, count: int) -> Recognition:
        answer = await self._call(body)
        for number in range(1, TRIES):
            if not isinstance(answer, Failure) or answer.error_type not in PASSING:
                break
            await asyncio.sleep(answer.retry_after or PAUSE_SECONDS * number)
            answer = await self._call(body)
        if isinstance(answer, Failure):
            raise _refused(answer)
        pages = answer.usage.input_pages if answer.usage is not None else None
        billed = min(count if pages is None else pages, count)  # the hold covers `count`
        return Recognition(answer.body["texts"], max(billed, 0) * self.offer.page_nanos)

    async def _call(self, body: Json) -> Document | Failure:
        calls, offer = self.calls, self.offer
        route = calls.routes.get(offer.provider)
        if route is None or not route.is_shared:
            message = f"Provider {offer.provider!r} is not configured at this worker."
            return Failure(AttemptOutcome.NOT_SENT, ErrorType.NOT_FOUND, message)
        settings = calls.settings
        limits = Deadlines(
            first_byte=settings.first_byte_timeout_seconds,
            idle=settings.idle_timeout_seconds,
            total=settings.total_timeout_seconds,
        )
        answer = await call(
            ProviderCall(
                calls.client.send,
                MistralOcr(),
                CompletionRequest(body=body, model=offer.native, stream=False),
                route.upstream,
                Stopwatch(limits),
                max_bytes=settings.max_answer_bytes,
                on_headers=lambda _: None,
                assembly=Assembly(lambda _: None),
            )
        )
        assert isinstance(answer, Document | Failure)
        return answer


def _refused(failure: Failure) -> UnfitError:
    """Return the error of a chat whose document could not be read.

    It is no failure of the endpoint of the chat, whose health and key it must not change.
    """
    return UnfitError(
        f"The document could not be read by OCR: {failure.message} Send the request again, or "
        f"choose the PDF engine {Engine.LOCAL.value}."
    )


class StoredOcr:
    """OCR whose texts are stored: a later attempt, or another job of the workspace, finds them."""

    def __init__(self, database: Database, job: ClaimedJob, engine: str, ocr: Ocr) -> None:
        self._database = database
        self._job = job
        self._engine = engine
        self._ocr = ocr
        self.cost_nanos = 0  # charged to the job by this attempt

    async def read_pages(self, content: bytes, indexes: Sequence[int]) -> Recognition:
        """Return the texts of these pages of a PDF."""
        key = self._key(content, indexes)
        return await self._find_or_read(key, lambda: self._ocr.read_pages(content, indexes))

    async def read_picture(self, content: bytes, mime: str) -> Recognition:
        """Return the text of a picture."""
        key = self._key(content, None)
        return await self._find_or_read(key, lambda: self._ocr.read_picture(content, mime))

    def _key(self, content: bytes, indexes: Sequence[int] | None) -> ReadingKey:
        digest = hashlib.sha256(orjson.dumps([self._engine, indexes]))
        digest.update(content)
        return ReadingKey(self._job.workspace_id, self._job.id, digest.hexdigest())

    async def _find_or_read(
        self, key: ReadingKey, read: Callable[[], Awaitable[Recognition]]
    ) -> Recognition:
        found = await self._database.read(find_reading, key)
        if found is not None:
            return Recognition(found)
        made = await read()
        reading = NewReading(key, self._job.attempt, made.texts, made.cost_nanos, now_ms())
        if await self._database.write(store_reading, reading):
            self.cost_nanos += made.cost_nanos
        return made


def _data_uri(content: bytes, mime: str) -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"
