"""Attachments of the bodies that this process sends to providers."""

from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from broker.completion import Failure, Json
from broker.lifecycle import ClaimedJob
from broker.requests import native
from broker.requests.operations import PICTURES, Operation
from broker.requests.plugins import read_file_parser
from broker.settings import Settings
from workers.attempt.ocr import OcrCalls
from workers.media import DocumentReader, Prepared, Readers, prepare, refuse_private_urls
from workers.media.fetching import Fetch, MediaMemory, MediaReservation, body_size
from workers.media.pictures import count_fetches, list_pictures, prepare_pictures
from workers.media.preparation import MAX_FETCHED_BYTES, most_fetched
from workers.provider_routes import ProviderRoute
from workers.sandbox.pool import Sandbox


@dataclass(frozen=True, slots=True)
class Attachments:
    """Fetches and adapts attachments, within the memory that this process has for them."""

    settings: Settings
    fetch: Fetch
    sandbox: Sandbox
    ocr_sandbox: Sandbox  # for the recognition of pages, which needs more memory and time
    ocr_calls: OcrCalls
    memory: MediaMemory

    def reserve(
        self, job: ClaimedJob, body: Json
    ) -> AbstractAsyncContextManager[MediaReservation | None]:
        """Wait for memory for the body of a call, and for all that may be fetched for it."""
        size = body_size(job.request)
        if job.operation in PICTURES:
            largest = count_fetches(list_pictures(body)) * self.settings.max_media_bytes
            size += min(largest, MAX_FETCHED_BYTES)
        if job.operation is Operation.CHAT:
            size += most_fetched(body, self.settings.max_media_bytes)
        if not size:
            return nullcontext()
        return self.memory.hold(job.workspace_id, size)

    async def fit(
        self, job: ClaimedJob, body: Json, plugins: Any, route: ProviderRoute
    ) -> Prepared | Failure:
        """Adapt a chat body to its endpoint: its attachments and its native content.

        The pictures of a body that makes pictures are fetched. Other bodies stay as they are.

        `plugins` is the field of the caller's body. Returns a Failure for a URL that the provider
        must not fetch.
        """
        prepared: Prepared | Failure = Prepared(body)
        adapter = route.chat_adapter(job.endpoint.interface)
        if job.operation in PICTURES:
            prepared = await prepare_pictures(body, self.fetch)
        elif job.operation is Operation.CHAT:
            reader = DocumentReader(self.sandbox, self.ocr_sandbox, job.workspace_id)
            parser, offer = read_file_parser(plugins), job.plan.ocr
            ocr = self.ocr_calls.build(job, reader, parser.languages)
            most = self.settings.max_scanned_pages if offer is None else offer.max_pages
            prepared = await prepare(
                native.resolve(body, route.chat.wire),
                modalities=job.endpoint.input_modalities,
                adapter=adapter,
                fetch=self.fetch,
                readers=Readers(reader, ocr, most),
                parser=parser,
                quirks=route.upstream.quirks,
            )
            if isinstance(prepared, Prepared):
                prepared = replace(prepared, ocr_nanos=ocr.cost_nanos)
        if isinstance(prepared, Failure):
            return prepared
        networks = self.settings.allowed_networks
        refused = await refuse_private_urls(
            prepared.body, route.upstream.base_url, networks, adapter.opens
        )
        return refused or prepared
